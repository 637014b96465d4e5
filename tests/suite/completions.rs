//! Completions in the shells that they are for: each sources its script and is asked what could be typed.

use heapshim_tests::{Tmux, environment, fresh_directory, needs, talk};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The script of a shell, where that shell looks for it by this name.
fn script(shell: &str, name: &str) -> PathBuf {
    let file = fresh_directory("completions").join(name);
    fs::write(&file, talk(&["completions", shell]).stdout).expect("a script");
    file
}

/// What a shell says to a line of its own language.
fn said_by(shell: &str, line: &str) -> String {
    let mut command = Command::new(shell);
    command.env_clear().envs(environment()).stdin(Stdio::null());
    let output = command.arg("-c").arg(line).output().expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    said
}

/// Check that bash completes a command, an option and a value.
#[test]
fn bash() {
    if !needs(&["bash"]) {
        return;
    }
    let file = script("bash", "heapshim");
    let completed = |words: &[&str]| {
        let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
        let line = format!(
            "source '{}' && COMP_WORDS=({}) COMP_CWORD={} && _heapshim heapshim '{last}' '{before}' && echo \"${{COMPREPLY[@]}}\"",
            file.display(),
            words
                .iter()
                .map(|word| format!("'{word}' "))
                .collect::<String>(),
            words.len() - 1
        );
        said_by("bash", &line)
    };
    assert_eq!(completed(&["heapshim", "di"]), "diff\n");
    assert_eq!(completed(&["heapshim", "diff", "--excl"]), "--exclude\n");
    let groups = "line function file module stack thread\n";
    assert_eq!(completed(&["heapshim", "diff", "--by", ""]), groups);
}

/// Check that fish completes a command, an option and a value, with what each is.
#[test]
fn fish() {
    if !needs(&["fish"]) {
        return;
    }
    let file = script("fish", "heapshim.fish");
    let completed = |typed: &str| {
        said_by(
            "fish",
            &format!("source '{}'; complete -C '{typed}'", file.display()),
        )
    };
    assert!(completed("heapshim di").starts_with("diff\tPrint what grew"));
    assert!(completed("heapshim diff --excl").starts_with("--exclude\tNo rows"));
    let groups = completed("heapshim diff --by ");
    let groups: Vec<&str> = groups
        .lines()
        .map(|line| line.split('\t').next().unwrap_or_default())
        .collect();
    assert_eq!(
        groups,
        ["file", "function", "line", "module", "stack", "thread"]
    );
}

/// Check that zsh, in a terminal, where alone it completes, makes whole words of what was begun when Tab is pressed.
#[test]
fn zsh() {
    if !needs(&["zsh"]) {
        return;
    }
    let Some(tmux) = Tmux::open(80, 24) else {
        return;
    };
    let file = script("zsh", "_heapshim");
    let directory = file.parent().expect("a directory").display();
    let start = format!(
        "PS1='ready: '\nfpath=({directory} $fpath)\nautoload -U compinit\ncompinit -u -D\n"
    );
    fs::write(tmux.directory().join(".zshrc"), start).expect("settings");
    tmux.line("ZDOTDIR=. exec zsh -d -i");
    tmux.wait_for("ready:");
    for (begun, whole) in [
        ("heapshim di", "ready: heapshim diff"),
        ("heapshim diff --excl", "ready: heapshim diff --exclude"),
        ("heapshim diff --by mod", "ready: heapshim diff --by module"),
    ] {
        tmux.keys(&["-l", begun]);
        tmux.wait_for(begun);
        tmux.keys(&["Tab"]);
        tmux.wait(|screen| screen.iter().any(|line| line.starts_with(whole)));
        // The line is emptied, for the next.
        tmux.keys(&["C-u"]);
        tmux.wait(|screen| screen.iter().any(|line| line.trim_end() == "ready:"));
    }
}
