//! The interpreter in this process: which CPython it is, where its types and functions are, and whose frames a thread runs.
//!
//! Looked for where an object is learnt (`find` at start-up, `notice` for what is loaded later), by its dynamic symbols, which CPython exports
//! from static executables, too. Nothing is resolved later, in a hook. What is found is believed only after `is_as_known` has compared the
//! first thread that runs Python with the layout of that version; until then, and if it does not fit, stacks are native.
//!
//! Called in a hook are two functions that load a word each (`PyGILState_GetThisThreadState`, a pthread key, and the current state), the two that
//! tell more where these differ, and, before 3.11, `PyCode_Addr2Line`, which reads one code object: none allocates, locks or raises in 3.7 to 3.13.

use super::chain::At;
use super::layout::{BASIC_SIZE, Layout, OBJECT_TYPE};
use super::peek::{Checked, Peek, Trusted};
use super::watched;
use crate::elf::{Image, Range, Symbols};
use crate::objects::{find_object, find_symbol};
use crate::{loader, modules, sys, thread_word, tracer};
use core::ffi::CStr;
use core::mem::transmute;
use heapshim_ledger::index::mix;
use heapshim_ledger::layout::Complaint;
use heapshim_ledger::sync::{AtomicU32, AtomicU64, Word};

/// What is known of the interpreter; does not change but for `load` and `checked`.
#[derive(Debug)]
pub(crate) struct Interpreter {
    pub(crate) layout: &'static Layout,
    own_state: extern "C" fn() -> u64,
    current_state: extern "C" fn() -> u64,
    is_finalizing: extern "C" fn() -> i32,
    newest_interpreter: extern "C" fn() -> u64,
    main_interpreter: extern "C" fn() -> u64,
    line_of: extern "C" fn(u64, i32) -> i32,
    type_type: u64,
    pub(crate) code_type: u64,
    generator_type: u64,
    pub(crate) text_type: u64,
    frame_type: u64,
    /// The object that it is part of: what lies in there is never freed.
    image: Range,
    /// `modules`' number of that object's load, and the loader's generation at which it was last seen to be there.
    load: AtomicU32,
    checked: AtomicU32,
    /// The evaluator's code, without the parts that the compiler has put elsewhere.
    evaluator: Range,
}

/// The state of a thread that runs Python.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ThreadState {
    pub(crate) address: u64,
    /// It is a sub-interpreter's: evaluators of another interpreter may stand further out.
    pub(crate) is_inner: bool,
    /// The thread does not hold the GIL: who holds it may end the interpreter meanwhile.
    is_apart: bool,
}

/// Return addresses from which the evaluator was seen to be called: it is called from four or five places.
static CALL_SITES: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// Whether the interpreter has been compared with the layout of its version.
static TRUST: AtomicU32 = AtomicU32::new(UNTRIED);
const UNTRIED: u32 = 0;
const GOOD: u32 = 1;
const BAD: u32 = 2;

/// The address of the interpreter that was found last; 0 = none. It is replaced where its library was unloaded, and never unmapped.
static FOUND: AtomicU64 = AtomicU64::new(0);

/// The interpreter, if this process has one that is known.
#[inline(always)]
pub(crate) fn get() -> Option<&'static Interpreter> {
    found().filter(|_| TRUST.peek() != BAD)
}

#[inline(always)]
fn found() -> Option<&'static Interpreter> {
    let address = usize::try_from(FOUND.observe()).unwrap_or(0);
    // SAFETY: null, or what `keep` has made and published.
    unsafe { core::ptr::with_exposed_provenance::<Interpreter>(address).as_ref() }
}

/// Looks for an interpreter among the objects that were loaded with the program.
pub(crate) fn find() {
    let in_order = |name: &CStr| find_symbol(name, 0).map(|found| found.address);
    find_object(|object| take(&object.image, in_order).then_some(()));
}

/// Takes the interpreter out of an object that was just learnt, if it has one and there is none yet.
pub(crate) fn notice(image: &Image<'_>) {
    let symbols = Symbols::of(image);
    take(image, |name| symbols?.find(name));
}

/// `variable` finds the interpreter's types: in an executable that was linked with it and refers to one, the linker has made a copy that all use.
fn take(image: &Image<'_>, variable: impl Fn(&CStr) -> Option<usize>) -> bool {
    let is_first = found().is_none_or(|known| known.is_gone(image));
    let is_wanted = is_first && tracer::get().is_some_and(|tracer| tracer.options.python);
    let Some(symbols) = Symbols::of(image).filter(|_| is_wanted) else {
        return false;
    };
    if symbols.find(c"PyEval_EvalCode").is_none() {
        return false;
    }
    let known = Interpreter::of(image, &symbols, variable).and_then(keep);
    if known.is_none() {
        distrust();
    }
    true
}

fn keep(interpreter: Interpreter) -> Option<()> {
    let memory = sys::map_private(size_of::<Interpreter>()).ok()?;
    let place = memory.cast::<Interpreter>();
    // SAFETY: fresh private memory, page-aligned, large enough.
    unsafe { place.write(interpreter) };
    // What is remembered of the code of an interpreter that is gone means nothing now.
    watched::all_freed();
    TRUST.put(UNTRIED);
    FOUND.publish(place.expose_provenance().get() as u64);
    Some(())
}

/// This build is not known: native stacks only, and the command says so.
#[cold]
fn distrust() {
    TRUST.put(BAD);
    if let Some(tracer) = tracer::get() {
        tracer::note(tracer.writer.header, Complaint::Python);
    }
}

/// The version of the interpreter that defines these symbols: its number from 3.11 on, before that by what each version was the first to have.
fn version(symbols: &Symbols) -> Option<u32> {
    if let Some(address) = symbols.find(c"Py_Version") {
        let number = Trusted.word(address as u64)?;
        return u32::try_from(number >> 16).ok();
    }
    let first: [(&CStr, u32); 4] = [
        (c"PyModule_AddObjectRef", 0x030a),
        (c"PyFrame_GetCode", 0x0309),
        (c"PyCode_NewWithPosOnlyArgs", 0x0308),
        (c"PyThread_tss_get", 0x0307),
    ];
    let mut known = first.into_iter();
    known.find_map(|(name, version)| symbols.find(name).map(|_| version))
}

impl Interpreter {
    fn of(
        image: &Image<'_>,
        symbols: &Symbols,
        variable: impl Fn(&CStr) -> Option<usize>,
    ) -> Option<Interpreter> {
        let layout = Layout::of(version(symbols)?)?;
        let find = |names: &[&CStr]| names.iter().find_map(|name| symbols.find(name));
        let [own, current, head, main] = [
            find(&[c"PyGILState_GetThisThreadState"])?,
            find(&[
                c"PyThreadState_GetUnchecked",
                c"_PyThreadState_UncheckedGet",
            ])?,
            find(&[c"PyInterpreterState_Head"])?,
            find(&[c"PyInterpreterState_Main"])?,
        ]
        .map(|address| {
            // SAFETY: these four take nothing and return a pointer (Include/cpython/pystate.h).
            unsafe { transmute::<usize, extern "C" fn() -> u64>(address) }
        });
        let finalizing = find(&[c"Py_IsFinalizing", c"_Py_IsFinalizing"])?;
        let line = find(&[c"PyCode_Addr2Line"])?;
        Some(Interpreter {
            layout,
            own_state: own,
            current_state: current,
            newest_interpreter: head,
            main_interpreter: main,
            // SAFETY: takes nothing and returns an int.
            is_finalizing: unsafe { transmute::<usize, extern "C" fn() -> i32>(finalizing) },
            // SAFETY: takes a code object and an int and returns an int (Include/cpython/code.h).
            line_of: unsafe { transmute::<usize, extern "C" fn(u64, i32) -> i32>(line) },
            type_type: variable(c"PyType_Type")? as u64,
            code_type: variable(c"PyCode_Type")? as u64,
            generator_type: variable(c"PyGen_Type")? as u64,
            text_type: variable(c"PyUnicode_Type")? as u64,
            frame_type: variable(c"PyFrame_Type")? as u64,
            image: image.range()?,
            load: AtomicU32::new(0),
            checked: AtomicU32::new(0),
            evaluator: symbols.code_of(c"_PyEval_EvalFrameDefault")?,
        })
    }

    /// True where its library was unloaded, seen when an object is learnt, which may lie in its place. (One that was found at start-up is learnt
    /// later: then its load is not known yet.)
    fn is_gone(&self, image: &Image<'_>) -> bool {
        let address = self.own_state as *const () as usize;
        let is_replaced = self.load.peek() != 0 && image.contains(address);
        is_replaced || loader::object_at(address).is_none()
    }

    /// True where its functions can be called: a program that embeds it may unload it. Where its code is on the calling thread's stack, nobody
    /// does so now, and the loader is asked only after it has been at work; else it is asked at each event.
    #[inline(always)]
    pub(crate) fn is_there(&self, is_running: bool) -> bool {
        is_running && self.checked.peek() == loader::generation() || self.is_loaded()
    }

    #[inline(never)]
    fn is_loaded(&self) -> bool {
        let generation = loader::generation();
        let Some(found) = modules::at(self.own_state as *const () as u64) else {
            return false;
        };
        // Asked for the first time just after it was found.
        let is_same = match self.load.claim(0, found.load) {
            Ok(_) => true,
            Err(known) => known == found.load,
        };
        if is_same {
            self.checked.put(generation);
        }
        is_same
    }

    /// The state of the calling thread that its innermost Python frames hang on; None where it has never run Python, or no longer may.
    #[inline(always)]
    pub(crate) fn thread_state(&self) -> Option<ThreadState> {
        let own = (self.own_state)();
        if own == 0 {
            // Before initialisation, after finalisation, or a thread that Python does not know. Asking for the current state first would
            // allocate thread-local memory in a thread that has none yet (3.12 and later, in a libpython that was loaded by dlopen).
            return None;
        }
        let current = (self.current_state)();
        let state = if current == own {
            ThreadState {
                address: own,
                is_inner: false,
                is_apart: false,
            }
        } else {
            self.apart(own, current)?
        };
        let is_trusted = TRUST.peek() == GOOD || self.try_out(state.address, current);
        is_trusted.then_some(state)
    }

    /// The state of a thread whose own state is not the current one: it doesn't hold the GIL, or runs a sub-interpreter.
    #[inline(never)]
    fn apart(&self, own: u64, current: u64) -> Option<ThreadState> {
        if current != 0 && self.is_mine(current) {
            return Some(ThreadState {
                address: current,
                is_inner: true,
                is_apart: false,
            });
        }
        self.is_running().then_some(ThreadState {
            address: own,
            is_inner: false,
            is_apart: true,
        })
    }

    /// False once the interpreter is being finalized: the thread that does so deletes the states of all others, which can't take the GIL any more.
    fn is_running(&self) -> bool {
        (self.is_finalizing)() == 0
    }

    /// The innermost frame of a thread. Where it does not hold the GIL, its state may have been deleted while it was read, and its memory be somebody
    /// else's: only if the interpreter is being finalized by then. What the state of a running interpreter names stays: nobody but the thread
    /// itself leaves its frames, its records lie on its own C stack, and finalization leaves other threads' frames where they are (from 3.9 on).
    #[inline(always)]
    pub(crate) fn innermost(&self, state: ThreadState, is_certain: bool) -> Option<At> {
        let is_there = || !state.is_apart || self.is_running();
        match is_certain {
            true => self.layout.start(&mut Trusted, state.address, is_there),
            false => {
                let memory = &mut Checked::default();
                self.layout.start(memory, state.address, is_there)
            }
        }
    }

    /// From 3.12 on the current state is kept by thread. Before that it is that of the thread that holds the GIL: another thread's, unless this
    /// thread runs a sub-interpreter, whose states the pthread key does not name; only then it is looked at.
    fn is_mine(&self, current: u64) -> bool {
        if self.layout.version >= 0x030c {
            return true;
        }
        let is_alone = (self.newest_interpreter)() == (self.main_interpreter)();
        !is_alone && self.thread_of(current) == Some(thread_word::control_block() as u64)
    }

    fn thread_of(&self, state: u64) -> Option<u64> {
        Trusted.word(state + self.layout.thread_id)
    }

    /// Compares the interpreter with what is known of its version, at the first event of a thread that holds the GIL.
    #[cold]
    #[inline(never)]
    fn try_out(&self, state: u64, current: u64) -> bool {
        if state != current || TRUST.peek() == BAD {
            return false; // tried at the next event
        }
        if self.is_as_known(state) {
            TRUST.put(GOOD);
            return true;
        }
        distrust();
        false
    }

    /// True where types have the sizes that the layout was taken from, objects begin as they should (a build with traced references has two words
    /// in front), and the thread's state says that it is this thread's (`pthread_self`, the control block).
    fn is_as_known(&self, state: u64) -> bool {
        let types = [
            self.code_type,
            self.generator_type,
            self.text_type,
            self.frame_type,
        ];
        let mut sizes = types.into_iter().zip(self.layout.sizes);
        sizes.all(|(of, size)| {
            Trusted.word(of + OBJECT_TYPE) == Some(self.type_type)
                && Trusted.word(of + BASIC_SIZE) == Some(size)
        }) && self.thread_of(state) == Some(thread_word::control_block() as u64)
    }

    /// The line of an instruction, by its offset in bytes; 0 where it has none. The code object must be alive.
    pub(crate) fn line(&self, code: u64, offset: i32) -> u32 {
        u32::try_from((self.line_of)(code, offset)).unwrap_or(0)
    }

    /// True for a native frame that is an evaluator's, up to 3.9, where nothing else tells: it stands in the evaluator's code, or in a part of the same
    /// object that was called from where the evaluator is called (error paths, which the compiler puts far away).
    pub(crate) fn evaluates(&self, address: u64, caller: u64) -> bool {
        let is_in = |range: &Range| usize::try_from(address).is_ok_and(|at| range.contains(at));
        if is_in(&self.evaluator) {
            note_call_site(caller);
            return true;
        }
        is_in(&self.image) && is_call_site(caller)
    }

    /// True for what is part of the interpreter's own data (the frozen modules of 3.11 and 3.12).
    pub(crate) fn holds(&self, object: u64) -> bool {
        usize::try_from(object).is_ok_and(|object| self.image.contains(object))
    }
}

/// The places of a call site, first its own.
fn call_sites(caller: u64) -> impl Iterator<Item = &'static AtomicU64> {
    let first = usize::try_from(mix(caller)).unwrap_or(0) % CALL_SITES.len();
    CALL_SITES.iter().cycle().skip(first).take(CALL_SITES.len())
}

fn note_call_site(caller: u64) {
    for place in call_sites(caller) {
        if place.peek() == caller || place.claim(0, caller).is_ok() {
            return;
        }
    }
}

fn is_call_site(caller: u64) -> bool {
    let known = call_sites(caller).map(Word::peek);
    known
        .take_while(|&site| site != 0)
        .any(|site| site == caller)
}
