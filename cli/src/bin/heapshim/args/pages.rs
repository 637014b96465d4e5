//! The words of `report` and `export`: growth for browsers and for other tools.

use super::{By, Compared, ExportFormat, Instants, Lines};
use clap::Args as ClapArgs;
use std::path::PathBuf;

/// Options of `report`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Page {
    /// Which two marks.
    #[command(flatten)]
    pub(crate) compared: Compared,
    /// Of a recording: when.
    #[command(flatten)]
    pub(crate) instants: Instants,
    /// Whose line.
    #[command(flatten)]
    pub(crate) lines: Lines,
    /// Write it to this file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `export`.
#[derive(Debug, ClapArgs)]
pub(crate) struct Export {
    /// Which two marks.
    #[command(flatten)]
    pub(crate) compared: Compared,
    /// Of a recording: when.
    #[command(flatten)]
    pub(crate) instants: Instants,
    /// Which tool is to read it
    #[arg(long, value_enum)]
    pub(crate) format: ExportFormat,
    /// csv, markdown: what a row is [default: line]
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
    /// markdown, dot: rows or functions at most; 0: all [default: 10; dot: 60]
    #[arg(long, value_name = "N")]
    pub(crate) top: Option<usize>,
    /// Whose line.
    #[command(flatten)]
    pub(crate) lines: Lines,
    /// Write it to this file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
