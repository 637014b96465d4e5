//! One file per command: each turns its words into stages, and holds no logic that another command could want.

pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod demo_server;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod first;
pub(crate) mod lib;
pub(crate) mod lines;
pub(crate) mod ls;
pub(crate) mod mark;
pub(crate) mod marks;
pub(crate) mod mode;
pub(crate) mod output;
pub(crate) mod page;
pub(crate) mod pair;
pub(crate) mod question;
pub(crate) mod record;
pub(crate) mod recorded;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod serve;
mod stop;
pub(crate) mod timeline;
pub(crate) mod top;
pub(crate) mod watch;
pub(crate) mod words;
