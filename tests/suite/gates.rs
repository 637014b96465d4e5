//! The recipes of docs/CHECK.md: each command finds its project's leak as it stands there, prints what stands there, and passes once the leak is mended.
//! The workflow (docs/examples/heapshim.yml) likewise: its steps are run as GitHub's runner runs them, on a project of the names that it has.

use heapshim_tests::{environment, found, fresh_directory, heapshim, needs, skip, workspace};
use serde_json::Value;
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

/// Runs the recipe's command there.
fn run(recipe: &str, directory: &Path) -> Output {
    shell(&["sh", "-ec", &block(recipe, "sh")], directory)
}

/// Runs this there, with the command in the PATH. Debian's python3 is first, which has its pytest.
fn shell(words: &[&str], directory: &Path) -> Output {
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
    Command::new(words[0])
        .args(&words[1..])
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

/// A project as the workflow has it: what is to be suppressed, and 5,000 bytes that each repetition leaks in the line `// leak`.
const PROJECT: [(&str, &str); 3] = [
    (
        "CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(server C)\nadd_executable(server_test test/server_test.c)\n",
    ),
    ("known.supp", "leak:known_to_leak\n"),
    (
        "test/server_test.c",
        "#include <stdlib.h>\n\
         static void *volatile kept;\n\
         static void known_to_leak(void) { kept = malloc(9000); }\n\
         static void request(void) {\n\
         kept = malloc(5000); // leak\n\
         }\n\
         int main(int argc, char **argv) {\n\
         int times = argc > 1 ? atoi(argv[1] + sizeof \"--gtest_repeat\") : 1;\n\
         for (int i = 0; i < times; i++) { request(); known_to_leak(); }\n\
         return 0;\n\
         }\n",
    ),
];

/// YAML as JSON.
const AS_JSON: &str =
    "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";

/// The workflow's steps, as a parser of YAML reads them; None where there is none.
fn steps() -> Option<Vec<Value>> {
    if !needs(&["python3", "bash", "cmake", "make", "cc"]) {
        return None;
    }
    let mut python = Command::new(found("python3").expect("just seen"));
    let file = workspace().join("docs/examples/heapshim.yml");
    let output = python.args(["-c", AS_JSON]).arg(file).output();
    let output = output.expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No module named 'yaml'") {
        skip("python3-yaml");
        return None;
    }
    assert!(output.status.success(), "{said}");
    let workflow: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let steps = workflow["jobs"]["check"]["steps"].as_array();
    Some(steps.expect("steps").clone())
}

/// Runs the steps one by one, until one fails, as GitHub does where no shell is named: `bash -e FILE`. All that they say.
fn work(steps: &[Value], directory: &Path) -> (bool, String) {
    let mut all = String::new();
    for step in steps {
        // What it uses beside that is the checkout, which the directory is.
        let Some(script) = step["run"].as_str() else {
            assert_eq!(step["uses"], "actions/checkout@v4");
            continue;
        };
        let file = fresh_directory("step").join("step.sh");
        fs::write(&file, script).expect("written");
        let output = shell(&["bash", "-e", &file.display().to_string()], directory);
        all.push_str(&String::from_utf8_lossy(&output.stdout));
        all.push_str(&String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            return (false, all);
        }
    }
    (true, all)
}

/// Check that the workflow fails a project that leaks, with an annotation at a path and line of its checkout, and passes it once that is mended.
#[test]
fn workflow() {
    let Some(steps) = steps() else {
        return;
    };
    let directory = fresh_directory("workflow");
    fs::create_dir(directory.join("test")).expect("made");
    for (name, text) in PROJECT {
        fs::write(directory.join(name), text).expect("written");
    }
    let (passed, said) = work(&steps, &directory);
    let annotations: Vec<&str> = said.lines().filter(|line| line.starts_with("::")).collect();
    assert!(!passed && annotations.len() == 2, "{said}");
    let leak = "::error file=test/server_test.c,line=5,title=heap grew by +4.9 KiB::request: 5000 bytes in 1 block, at ";
    assert!(annotations[0].starts_with(leak), "{said}");
    let whole = "::error title=heapshim check::build/server_test ";
    assert!(annotations[1].starts_with(whole), "{said}");
    let grew =
        ": 1 line grew with each repetition from 2 to 5, +4.9 KiB in all; allowed: 4.0 KiB a line";
    assert!(annotations[1].ends_with(grew), "{said}");

    let source = directory.join("test/server_test.c");
    let text = fs::read_to_string(&source).expect("its source");
    let mended = text.replace("kept = malloc(5000);", "free(malloc(5000));");
    fs::write(&source, mended).expect("written");
    let (passed, said) = work(&steps, &directory);
    assert!(passed, "{said}");
    assert!(
        said.contains("::notice title=heapshim check::build/server_test"),
        "{said}"
    );
}
