//! Suppression files: whatever stands in one, matching a row ends, and an error names its line.

use crate::Target;
use heapshim_cli::check::Suppressions;
use heapshim_cli::report::{Amount, Row};
use heapshim_cli::symbolize::{Language, SymbolFrame};

pub(crate) const TARGET: Target = Target {
    name: "suppressions",
    run,
    seeds,
};

fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match Suppressions::parse(&text, "x") {
        Ok(mut all) => {
            let taken = all.take(&row());
            assert!(!taken || !all.is_empty());
            assert_eq!(taken, !all.used().is_empty());
        }
        Err(error) => assert!(error.to_string().starts_with("x:"), "{error}"),
    }
}

fn row() -> Row {
    let frame = SymbolFrame {
        file: Some("/src/net/conn.c".into()),
        line: Some(88),
        function: Some("conn_new<int>".into()),
        module: Some("/usr/lib/libx.so.3".into()),
        address: 0x123,
        language: Language::C,
        reason: None,
        inlined: false,
        wrapper: false,
    };
    let one = Amount {
        bytes: 40,
        blocks: 1,
    };
    Row {
        errors: None,
        survivors: None,
        temporary: None,
        distribution: None,
        freed: None,
        file: frame.file.clone(),
        line: frame.line,
        function: frame.function.clone(),
        module: frame.module.clone(),
        language: frame.language,
        via: None,
        thread: None,
        growth: one,
        live: one,
        total: one,
        stack: vec![frame].into(),
        blamed: 0,
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let seeds = [
        "# known\nleak:conn_new\nline:conn.c:88\n",
        "leak:^conn*<int>$\n",
        "line:src/*.c:80-95\n",
        "leak:*\nleak:libx.so*\n",
        "line:**/net/conn.[ch]:1-\n",
        "race:x\n",
    ];
    seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}
