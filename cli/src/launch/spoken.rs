//! A program that is spoken to line by line, as `demo` speaks to its server.
//!
//! The program answers each line by one of its own, so that whoever asks knows that it is done. Nothing here waits for time.

use crate::error::{Error, Kind};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running program and the two ends that we hold of it.
#[derive(Debug)]
pub struct Spoken {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Spoken {
    /// Starts it.
    ///
    /// # Errors
    /// What the system said.
    pub fn start(command: &mut Command) -> Result<Spoken, Error> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = child.map_err(|error| Error::io("demo", "server not started", error))?;
        let ends = child.stdin.take().zip(child.stdout.take());
        let (input, output) = ends.ok_or_else(|| Error::new(Kind::Failed, "demo", "no pipes"))?;
        Ok(Spoken {
            child,
            input,
            output: BufReader::new(output),
        })
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says a line, and waits for its answer.
    ///
    /// # Errors
    /// `Failed` where it has ended, else what the system said.
    pub fn ask(&mut self, line: &str) -> Result<String, Error> {
        let mut answer = String::new();
        let asked =
            writeln!(self.input, "{line}").and_then(|()| self.output.read_line(&mut answer));
        match asked {
            Ok(1..) => Ok(answer.trim_end().to_owned()),
            Ok(0) => Err(Error::new(Kind::Failed, "demo", "the server has ended")),
            Err(error) => Err(Error::new(Kind::Failed, "demo", "no answer").because(error)),
        }
    }

    /// Ends its input, and waits for its end.
    ///
    /// # Errors
    /// What the system said.
    pub fn end(mut self) -> Result<(), Error> {
        drop(self.input);
        let ended = self.child.wait();
        ended.map_err(|error| Error::io("demo", "server not ended", error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that each line is answered, and that a program that has ended, or is not there, is an error and no hang.
    #[test]
    fn asked_and_answered() {
        let mut cat = Spoken::start(&mut Command::new("cat")).expect("cat");
        assert_eq!(cat.ask("one").expect("answered"), "one");
        assert_eq!(cat.ask("two").expect("answered"), "two");
        cat.end().expect("ended");
        let mut gone = Spoken::start(&mut Command::new("true")).expect("true");
        assert_eq!(gone.ask("one").map_err(|e| e.kind()), Err(Kind::Failed));
        gone.end().expect("ended");
        let missing = Spoken::start(&mut Command::new("/no/such"));
        assert_eq!(missing.map_err(|e| e.kind()).err(), Some(Kind::Missing));
    }
}
