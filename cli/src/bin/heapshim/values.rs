//! Values of options: times, sizes, counts, pairs of paths. Called by `args`, which says what each is for.

use heapshim_cli::series::Per;
use std::net::SocketAddr;
use std::time::Duration;

/// `500ms`, `30s`, `5m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: Option<u64> = number.parse().ok().filter(|_| !unit.is_empty());
    let number = number.ok_or("a time is a number and a unit: 500ms, 30s, 5m")?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err("the units are ms, s, m and h".to_owned()),
    };
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| "too long".to_owned())
}

/// `512`, `64K`, `1M`, `1MiB`: bytes, by 1024.
pub(crate) fn size(text: &str) -> Result<i64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: i64 = number
        .parse()
        .map_err(|_| "a size is a number and a unit: 512, 64K, 1MiB")?;
    let shift = match unit {
        "" | "B" => 0,
        "K" | "KiB" => 10,
        "M" | "MiB" => 20,
        "G" | "GiB" => 30,
        _ => return Err("the units are K, M and G, by 1024".to_owned()),
    };
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "too large".to_owned())
}

/// `9464`, `127.0.0.1:9464`, `[::1]:9464`, `localhost:9464`. Other machines are let in only by an address that says so.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").unwrap_or(text);
    let local = port
        .parse()
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    local
        .or_else(|_| text.parse())
        .map_err(|_| "it is a port, or an address with one: 9464, 127.0.0.1:9464".to_owned())
}

/// `1000`, `1000:request`.
pub(crate) fn per(text: &str) -> Result<Per, String> {
    let (count, what) = text.split_once(':').unwrap_or((text, "unit"));
    let count = count.parse().ok().filter(|&count| count > 0);
    let count = count.ok_or("it is a count, and perhaps its name: 1000, 1000:request")?;
    Ok(Per {
        count,
        what: what.to_owned(),
    })
}

/// `FROM=TO`.
pub(crate) fn mapping(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("write FROM=TO")?;
    if from.is_empty() {
        return Err("FROM is empty".to_owned());
    }
    Ok((from.to_owned(), to.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check times with each unit, and what is none.
    #[test]
    fn times() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for text in [
            "",
            "30",
            "s",
            "1.5s",
            "-1s",
            "5d",
            "99999999999999999999s",
            "9999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    /// Check counts with a name and without, and what is none.
    #[test]
    fn counts() {
        let named = per("1000:request").expect("a count");
        assert_eq!((named.count, named.what.as_str()), (1000, "request"));
        assert_eq!(per("7").expect("a count").what, "unit");
        assert!(per("0").is_err() && per("many").is_err() && per(":request").is_err());
    }

    /// Check that a port alone is this machine's, and that only an address lets others in.
    #[test]
    fn addresses() {
        let said = |text: &str| address(text).map(|address| address.to_string());
        assert_eq!(said("9464").as_deref(), Ok("127.0.0.1:9464"));
        assert_eq!(said("localhost:1").as_deref(), Ok("127.0.0.1:1"));
        assert_eq!(said("0.0.0.0:9464").as_deref(), Ok("0.0.0.0:9464"));
        assert_eq!(said("[::1]:9464").as_deref(), Ok("[::1]:9464"));
        for text in ["", ":9464", "host:9464", "70000", "127.0.0.1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    /// Check sizes with each unit, and what is none.
    #[test]
    fn sizes() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!((size("64K"), size("64KiB")), (Ok(65_536), Ok(65_536)));
        assert_eq!((size("1M"), size("2GiB")), (Ok(1 << 20), Ok(2 << 30)));
        for text in ["", "K", "-1", "1.5K", "1k", "64KB", "9999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
