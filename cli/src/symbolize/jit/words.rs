//! What a runtime's name for a piece of its code says: a function, and perhaps where it is written.
//!
//! Used by `jit`. Forms that are not known are functions as they stand. A line is where the function begins, not the one that runs: that is
//! all that these names have.

/// A name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) function: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
}

/// What V8 calls code that it made of a script; up to version 10 by the way in which it did.
const SCRIPTS: [&str; 5] = ["JS:", "LazyCompile:", "Function:", "Eval:", "Script:"];

/// What stands between V8's word and the name: by which of its compilers the code was made.
const TIERS: [char; 6] = ['~', '^', '+', '*', '-', '\''];

/// How V8 writes functions without a name in stacks.
const ANONYMOUS: &str = "<anonymous>";

pub(super) fn parts(name: &str) -> Parts {
    let known = v8(name).or_else(|| cpython(name)).or_else(|| luajit(name));
    known.unwrap_or_else(|| plain(name))
}

/// `JS:*leak /srv/app.js:2:14`, `LazyCompile:*leak /srv/app.js:2`, `JS:~ file:///srv/a%20b.mjs:1:1`, `LazyCompile:~get size node:internal/x:9:3`.
fn v8(name: &str) -> Option<Parts> {
    let rest = SCRIPTS.iter().find_map(|word| name.strip_prefix(word))?;
    let rest = rest.strip_prefix(TIERS).unwrap_or(rest);
    let (function, place) = split_place(rest);
    // Up to V8 10 there is no column.
    let (before, last) = split_number(place);
    let (file, line) = match split_number(before) {
        (file, Some(line)) => (file, Some(line)),
        (_, None) if ends_in_number(before) => (before, None),
        (_, None) => (before, last),
    };
    Some(Parts {
        function: Some(function.trim())
            .filter(|name| !name.is_empty())
            .unwrap_or(ANONYMOUS)
            .to_string(),
        file: Some(path(file)).filter(|file| !file.is_empty()),
        line,
    })
}

/// Also in one that no line can have.
fn ends_in_number(text: &str) -> bool {
    let end = text.rsplit_once(':').map(|(_, end)| end);
    end.is_some_and(|end| !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A function's name may have spaces, and so may a path: a path begins where it looks like one.
fn split_place(text: &str) -> (&str, &str) {
    let starts = [" /", " file://", " node:"];
    let found = starts.iter().filter_map(|start| text.find(start)).min();
    let found = found.or_else(|| {
        text.rfind(' ')
            .filter(|&at| split_number(&text[at..]).1.is_some())
    });
    found.map_or((text, ""), |at| (&text[..at], &text[at + 1..]))
}

/// `text:12` without its number, and the number.
fn split_number(text: &str) -> (&str, Option<u32>) {
    let split = text.rsplit_once(':');
    let number = split.and_then(|(rest, number)| Some((rest, number.parse().ok()?)));
    number.map_or((text, None), |(rest, number)| (rest, Some(number)))
}

/// The path of a URL of a file; anything else as it stands.
fn path(place: &str) -> String {
    let Some(escaped) = place.strip_prefix("file://") else {
        return place.to_string();
    };
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = tail
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(hexadecimal);
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

/// `py::Cache.put:/srv/cache.py`.
fn cpython(name: &str) -> Option<Parts> {
    let (function, file) = name.strip_prefix("py::")?.split_once(':')?;
    Some(Parts {
        function: function.to_string(),
        file: Some(file.to_string()),
        line: None,
    })
}

/// `TRACE_12::app.lua:34`.
fn luajit(name: &str) -> Option<Parts> {
    let (trace, place) = name.split_once("::")?;
    let is_trace = trace
        .strip_prefix("TRACE_")?
        .bytes()
        .all(|byte| byte.is_ascii_digit());
    let (file, line) = split_number(place);
    is_trace.then(|| Parts {
        function: trace.to_string(),
        file: Some(file.to_string()),
        line,
    })
}

/// Java writes `void app.Cache.put(int)`, its agent `Lapp/Cache;::put`, PHP `JIT$Cache::put`; the rest stands as it is.
fn plain(name: &str) -> Parts {
    let java = name
        .strip_prefix('L')
        .and_then(|name| name.split_once(";::"));
    let function = match java {
        Some((class, method)) => format!("{}::{method}", class.replace('/', ".")),
        None => method(name)
            .unwrap_or(name.strip_prefix("JIT$").unwrap_or(name))
            .to_string(),
    };
    Parts {
        function,
        file: None,
        line: None,
    }
}

/// A method's name without its type, which stands before it, and without its parameters.
fn method(name: &str) -> Option<&str> {
    let (head, _parameters) = name.strip_suffix(')')?.split_once('(')?;
    let (of, method) = head.rsplit_once(' ')?;
    (!of.contains(' ') && method.contains('.')).then_some(method)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name, the function in it, file and line.
    type Form = (
        &'static str,
        &'static str,
        Option<&'static str>,
        Option<u32>,
    );

    fn check(forms: &[Form]) {
        for &(name, function, file, line) in forms {
            let parts = parts(name);
            assert_eq!(parts.function, function, "{name}");
            assert_eq!((parts.file.as_deref(), parts.line), (file, line), "{name}");
        }
    }

    /// Check V8's forms, old and new, and what only looks like one.
    #[test]
    fn scripts() {
        check(&[
            (
                "JS:*leak /srv/app.js:2:14",
                "leak",
                Some("/srv/app.js"),
                Some(2),
            ),
            (
                "JS:~ /srv/a b.js:1:1",
                "<anonymous>",
                Some("/srv/a b.js"),
                Some(1),
            ),
            (
                "JS:^get size /srv/app.js:7:3",
                "get size",
                Some("/srv/app.js"),
                Some(7),
            ),
            (
                "JS:+put file:///a%20b%zz.mjs:5:1",
                "put",
                Some("/a b%zz.mjs"),
                Some(5),
            ),
            (
                "LazyCompile:~emit node:events:466:44",
                "emit",
                Some("node:events"),
                Some(466),
            ),
            (
                "LazyCompile:*leak /srv/app.js:10",
                "leak",
                Some("/srv/app.js"),
                Some(10),
            ),
            (
                "Function:^emit node:events:466",
                "emit",
                Some("node:events"),
                Some(466),
            ),
            (
                "Eval:~ evalmachine:1:1",
                "<anonymous>",
                Some("evalmachine"),
                Some(1),
            ),
            ("Function:wasm-function[3]", "wasm-function[3]", None, None),
            ("JS:*", "<anonymous>", None, None),
            ("JS:*a b", "a b", None, None),
            (
                "JS:*f app.js:4294967296:1",
                "f",
                Some("app.js:4294967296"),
                None,
            ),
            ("Builtin:ArrayPush", "Builtin:ArrayPush", None, None),
        ]);
    }

    /// Check the other runtimes' forms, and what only looks like one.
    #[test]
    fn others() {
        check(&[
            (
                "py::Cache.put:/srv/cache.py",
                "Cache.put",
                Some("/srv/cache.py"),
                None,
            ),
            ("py::<module>:<string>", "<module>", Some("<string>"), None),
            (
                "TRACE_12::app.lua:34",
                "TRACE_12",
                Some("app.lua"),
                Some(34),
            ),
            ("TRACE_x::app.lua:34", "TRACE_x::app.lua:34", None, None),
            ("Ljava/util/Map;::put", "java.util.Map::put", None, None),
            (
                "int java.lang.String.hashCode()",
                "java.lang.String.hashCode",
                None,
                None,
            ),
            ("void J.put(J$Key, int[])", "J.put", None, None),
            (
                "new_instance Runtime1 stub",
                "new_instance Runtime1 stub",
                None,
                None,
            ),
            ("f (inlined)", "f (inlined)", None, None),
            ("JIT$Cache::put", "Cache::put", None, None),
            ("Lx", "Lx", None, None),
        ]);
    }

    /// Check that no text makes it panic: every beginning and end of the forms, also between the bytes of a letter's code.
    #[test]
    fn any_text() {
        for name in [
            "JS:*é /é:1:1",
            "py::é:é",
            "TRACE_1::é:1",
            "Lé;::é",
            "JS:~ file://%é%4",
            "JIT$",
        ] {
            for (at, _) in name.char_indices() {
                let _both = (parts(&name[..at]), parts(&name[at..]));
            }
        }
    }
}
