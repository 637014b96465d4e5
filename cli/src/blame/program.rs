//! Which program it is that memory is asked for: some code is foreign to all programs but one.
//!
//! Made by `diff`, read by `table`.

/// What a frame's program is: some code is foreign to all programs but one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Absolute path of the executable.
    pub exe: String,
    /// The source of its `main`, where that is known.
    pub main: Option<String>,
}

impl Program {
    /// True for a source of the package that `main` is in: a program may itself come out of a registry.
    pub(super) fn is_at_home(&self, file: &str) -> bool {
        let home = self.main.as_deref().and_then(package);
        home.is_some_and(|home| file.starts_with(home))
    }
}

/// The directory of the package that a source in a registry's store is in, with its slash: what lies beside it is another's.
fn package(file: &str) -> Option<&str> {
    let stores = ["/registry/src/", "/git/checkouts/"];
    let (at, store) = stores
        .into_iter()
        .find_map(|store| Some((file.find(store)?, store)))?;
    // The store's own directory for an index or a repository, and the package or revision in it.
    let start = at + store.len();
    let mut slashes = file[start..].match_indices('/').map(|(slash, _)| slash);
    slashes.nth(1).map(|slash| &file[..=start + slash])
}

#[cfg(test)]
mod tests {
    use super::*;
    /// Check the package that a source in a registry's store is in.
    #[test]
    fn packages() {
        let store = "/u/.cargo/registry/src/i-0f";
        let file = format!("{store}/a-1.0/src/x/y.rs");
        assert_eq!(package(&file), Some(&*format!("{store}/a-1.0/")));
        let file = "/u/.cargo/git/checkouts/a-0f/1234567/src/y.rs";
        assert_eq!(package(file), Some("/u/.cargo/git/checkouts/a-0f/1234567/"));
        for file in [
            "/registry/src/",
            "/registry/src/a",
            "/registry/src/a/b.rs",
            "",
        ] {
            assert_eq!(package(file), None);
        }
    }
}
