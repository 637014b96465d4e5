//! The recipes of docs/CHECK.md: each command finds its project's leak as it stands there, prints what stands there, and passes once the leak is mended.

use heapshim_tests::{environment, fresh_directory, heapshim, needs, workspace};
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The blocks of this kind that follow the paragraph of this name in docs/CHECK.md.
fn block(recipe: &str, kind: &str) -> String {
    let text = fs::read_to_string(workspace().join("docs/CHECK.md")).expect("the document");
    let fence = format!("```{kind}\n");
    let (_, after) = text
        .split_once(&format!("\n**{recipe}**"))
        .expect("a recipe");
    let (_, block) = after.split_once(&fence).expect("a block");
    block.split_once("```").expect("its end").0.to_owned()
}

/// A copy of the project that belongs to a recipe.
fn copy(recipe: &str) -> std::path::PathBuf {
    // Lines are told by the last two names of their path: in that the copy is as the project.
    let directory = fresh_directory("gate").join(recipe);
    let project = workspace().join("examples/check").join(recipe);
    let copied = Command::new("cp")
        .arg("-r")
        .args([&project, &directory])
        .status();
    assert!(copied.expect("cp starts").success());
    directory
}

/// Runs the recipe's command there. Debian's python3 is first, which has its pytest.
fn run(recipe: &str, directory: &Path) -> Output {
    let beside = |program: &Path| program.parent().expect("a directory").display().to_string();
    let places = [
        beside(heapshim()),
        "/usr/bin:/bin".to_owned(),
        beside(Path::new(env!("CARGO"))),
    ];
    let home = ["HOME", "CARGO_HOME", "RUSTUP_HOME"].map(|name| (name, env::var_os(name)));
    let home = home
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Command::new("sh")
        .args(["-ec", &block(recipe, "sh")])
        .current_dir(directory)
        .env_clear()
        .envs(environment())
        .envs(home)
        .env("PATH", places.join(":"))
        .output()
        .expect("a shell")
}

/// Runs the recipe, mends the line of this file, and runs it again.
fn recipe(recipe: &str, file: &str, leaks: &str, mended: &str) {
    let directory = copy(recipe);
    let output = run(recipe, &directory);
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(!output.status.success(), "{said}");
    let expected = block(recipe, "text");
    assert!(said.contains(&expected), "{said}\nis not\n{expected}");
    let path = directory.join(file);
    let text = fs::read_to_string(&path).expect("its source");
    assert!(text.contains(leaks), "{text}");
    fs::write(&path, text.replace(leaks, mended)).expect("written");
    let output = run(recipe, &directory);
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

/// Check the recipe for pytest.
#[test]
fn pytest() {
    if needs(&["pytest-3"]) {
        let mended = "CALLS[:] = [name]";
        recipe(
            "pytest",
            "registry.py",
            "CALLS.append(name.upper() * 100)",
            mended,
        );
    }
}

/// Check the recipe for CTest.
#[test]
fn ctest() {
    if needs(&["ctest", "cmake", "make", "cc"]) {
        let mended = "{ free(session->user); free(session); }";
        recipe("CTest", "session.c", "{ free(session); }", mended);
    }
}

/// Check the recipe for cargo.
#[test]
fn cargo() {
    if needs(&["cargo"]) {
        let mended = "*LISTENERS.lock().unwrap() = vec![Box::new(listener)];";
        recipe(
            "cargo",
            "src/lib.rs",
            "LISTENERS.lock().unwrap().push(Box::new(listener));",
            mended,
        );
    }
}
