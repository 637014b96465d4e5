//! A document parsed and written again: what `cargo xtask bench` calls rust_json.
//!
//! `json [ROUNDS]`: of ROUNDS (40) parsed values up to four are kept at a time. Prints what they add up to.

use serde_json::{Value, json};

/// Users in the document.
const USERS: u64 = 4000;
/// Values that are kept.
const KEPT: usize = 4;

fn main() {
    let rounds = std::env::args().nth(1).and_then(|word| word.parse().ok());
    let text = document();
    let (mut kept, mut sum) = (Vec::new(), 0);
    for _ in 0..rounds.unwrap_or(40) {
        let value: Value = serde_json::from_str(&text).expect("written just now");
        let users = value.as_array().map_or(&[][..], Vec::as_slice);
        let third = |user: &&Value| user["id"].as_u64().is_some_and(|id| id.is_multiple_of(3));
        sum += users.iter().filter(third).count() + value.to_string().len();
        kept.push(value);
        if kept.len() == KEPT {
            kept.clear();
        }
    }
    println!("sum={sum} kept={}", kept.len());
}

fn document() -> String {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 11
    };
    let mut user = |id| {
        let tags: Vec<String> = (0..6).map(|_| format!("tag{}", next() % 99)).collect();
        json!({
            "id": id,
            "name": format!("user{}", next() % 1_000_000),
            "tags": tags,
            "nested": {"a": [next() % 7, next() % 9], "b": {"c": format!("{:x}", next())}},
        })
    };
    Value::from((0..USERS).map(&mut user).collect::<Vec<Value>>()).to_string()
}
