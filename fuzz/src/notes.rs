//! ELF notes of a loaded object, as the shim reads them for its build id: nothing outside of the note segment is looked at.

use crate::Target;

// The shim's own file: a library that is preloaded can't be linked in here.
#[allow(dead_code, reason = "the shim calls the rest")]
#[path = "../../shim/src/elf.rs"]
mod elf;

pub(crate) const TARGET: Target = Target {
    name: "notes",
    run,
    seeds,
};

fn run(bytes: &[u8]) {
    // Of its own size, so that a read past it is one past the allocation.
    let segment: Box<[u8]> = bytes.into();
    let header = |kind| libc::Elf64_Phdr {
        p_type: kind,
        p_flags: libc::PF_R,
        p_offset: 0,
        p_vaddr: 0,
        p_paddr: 0,
        p_filesz: segment.len() as u64,
        p_memsz: segment.len() as u64,
        p_align: 4,
    };
    let headers = [header(libc::PT_LOAD), header(libc::PT_NOTE)];
    let bias = segment.as_ptr().expose_provenance();
    let Some(id) = elf::Image::new(bias, &headers).build_id() else {
        return;
    };
    let len = usize::try_from(id.len).unwrap_or(usize::MAX);
    let id = id.bytes.get(..len).expect("at most 32 bytes");
    assert!(len == 0 || segment.windows(len).any(|window| window == id));
}

fn seeds() -> Vec<Vec<u8>> {
    let note = |name: &[u8], kind: u32, description: &[u8]| {
        let mut bytes = Vec::new();
        for word in [name.len(), description.len()] {
            bytes.extend(u32::try_from(word).unwrap_or(0).to_ne_bytes());
        }
        bytes.extend(kind.to_ne_bytes());
        for part in [name, description] {
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    };
    let id = note(b"GNU\0", 3, &[7; 20]);
    let other = note(b"stapsdt\0", 3, b"a probe");
    vec![
        id.clone(),
        [other, note(b"GNU\0", 1, &[0; 16]), id].concat(),
    ]
}
