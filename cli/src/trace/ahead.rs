//! Chunks read, unpacked and decoded by another thread while this one counts what is in them: each takes about as long as the other.
//!
//! Used by `read` alone. Events are handed over in batches, whose room goes back and forth: however many chunks there are, memory is one chunk's, and the
//! batches that are on their way.

use super::Happening;
use super::columns::{Decoder, Room};
use super::file::{Chunk, Refused, Unpacked};
use std::io::{Read, Seek};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;

/// Events that are handed over at once: what both threads have of them stays in a core's cache.
const AT_ONCE: usize = 4096;
/// Batches on their way: so many that neither thread waits for the other to be woken.
const ON_THE_WAY: usize = 16;

/// Which chunk it is of, and events.
type Batch = (usize, Vec<Happening>);

/// Calls `visit` with the events of these chunks, in order, some thousand at once. Of a chunk of which it has had enough (false) the rest is passed over.
pub(super) fn visit<F: Read + Seek + Send>(
    file: &mut F,
    chunks: &[Chunk],
    mut visit: impl FnMut(&[Happening]) -> bool,
) -> Result<(), Refused> {
    thread::scope(|scope| {
        let (full, filled) = sync_channel(ON_THE_WAY);
        let (empty, emptied) = channel();
        let reads = move || decode(file, chunks, &full, &emptied);
        let spawned = thread::Builder::new().spawn_scoped(scope, reads)?;
        let mut enough = None;
        for (number, events) in filled {
            if enough != Some(number) && !visit(&events) {
                enough = Some(number);
            }
            // Nobody takes it who has come to the end.
            let _gone = empty.send(events);
        }
        spawned
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Decodes chunk after chunk, until all are or nobody listens.
fn decode<F: Read + Seek>(
    file: &mut F,
    chunks: &[Chunk],
    full: &SyncSender<Batch>,
    emptied: &Receiver<Vec<Happening>>,
) -> Result<(), Refused> {
    let (mut unpacked, mut room) = (Unpacked::default(), Room::default());
    for (number, chunk) in chunks.iter().enumerate() {
        let bytes = chunk.unpack(file, 1, &mut unpacked)?;
        let mut decoder = Decoder::new(bytes, chunk.head.from_ns, room)?;
        let mut last = Ok(true);
        while let Ok(true) = last {
            let mut events = emptied.try_recv().unwrap_or_default();
            events.clear();
            last = decoder.fill(&mut events, AT_ONCE);
            // What came before a damage is told, and then the damage.
            if full.send((number, events)).is_err() {
                return Ok(());
            }
        }
        last?;
        room = decoder.into_room();
    }
    Ok(())
}
