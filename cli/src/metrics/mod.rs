//! What a monitoring system asks for: every traced process as numbers with labels, over HTTP.
//!
//! `account` reads the processes, `text` writes the two forms that Prometheus reads, `http` is as much of HTTP as a scrape needs. Served by
//! `heapshim serve`. Rates are the scraper's to make, of counters that only rise. Bounded: so many lines a process are series, one request is
//! answered at a time, and a request that is large or slow is sent away.

mod account;
mod http;
mod text;

pub use account::Accounts;
pub use http::{Served, serve};
pub use text::{Form, text};
