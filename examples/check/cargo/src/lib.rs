//! Listeners are told what happens, and never forgotten.

use std::sync::Mutex;

static LISTENERS: Mutex<Vec<Box<dyn Fn(&str) + Send>>> = Mutex::new(Vec::new());

/// Has a listener told of everything from now on.
pub fn listen(prefix: &str) {
    let prefix = prefix.to_owned();
    let listener = move |event: &str| assert!(event.starts_with(&prefix));
    LISTENERS.lock().unwrap().push(Box::new(listener));
}

#[cfg(test)]
mod tests {
    #[test]
    fn listens() {
        let times = std::env::var("TIMES").map_or(1, |times| times.parse().unwrap());
        for _ in 0..times {
            super::listen("opened");
        }
    }
}
