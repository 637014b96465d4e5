//! What a mark knows of its blocks beside their numbers: when they were born (section 18), and which went at once (section 19). Used by `sections` alone.

use super::Damage;
use super::bytes::{Reader, Writer};
use super::sections::read_list;
use crate::births::{Births, Born};
use crate::report::{Amount, Temporaries};
use std::collections::BTreeMap;

/// A site's part of `write_births`, and a cohort's of that.
const BORN_BYTES: usize = 12;
const COHORT_BYTES: usize = 20;

/// A site's part of `write_temporaries`: one byte a number at least.
const LEAST_TEMPORARY: usize = 3;

/// 0 stands for a mark that was not pinned.
pub(super) fn write_births(out: &mut Writer, births: &Births) {
    out.u32(births.pinned.unwrap_or(0));
    out.u32(births.sites.is_some().into());
    let sites = births.sites.iter().flatten();
    out.len(sites.clone().count());
    for (site, born) in sites {
        out.u32(*site);
        out.u32(born.unknown.into());
        out.len(born.live.len());
        for (cohort, amount) in &born.live {
            out.u32(*cohort);
            out.u64(amount.bytes.cast_unsigned());
            out.u64(amount.blocks.cast_unsigned());
        }
    }
}

pub(super) fn read_births(mut bytes: Reader<'_>) -> Result<Births, Damage> {
    let (pinned, is_known) = (bytes.u32()?, bytes.u32()? != 0);
    let mut sites = BTreeMap::new();
    for _ in 0..bytes.count(BORN_BYTES)? {
        let (site, unknown) = (bytes.u32()?, bytes.u32()? != 0);
        let mut live = Vec::new();
        for _ in 0..bytes.count(COHORT_BYTES)? {
            let cohort = bytes.u32()?;
            let amount = Amount {
                bytes: bytes.u64()?.cast_signed(),
                blocks: bytes.u64()?.cast_signed(),
            };
            live.push((cohort, amount));
        }
        sites.insert(site, Born { unknown, live });
    }
    Ok(Births {
        pinned: Some(pinned).filter(|&cohort| cohort != 0),
        sites: is_known.then_some(sites),
    })
}

/// Sites in their order, each its distance from the one before.
pub(super) fn write_temporaries(out: &mut Writer, temporaries: &Temporaries) {
    out.len(temporaries.len());
    let mut before = 0;
    for (site, amount) in temporaries {
        let numbers = [amount.bytes, amount.blocks].map(i64::cast_unsigned);
        out.numbers([u64::from(site - before), numbers[0], numbers[1]]);
        before = *site;
    }
}

pub(super) fn read_temporaries(bytes: Reader<'_>) -> Result<Temporaries, Damage> {
    let mut before = 0u32;
    let entries = read_list(bytes, LEAST_TEMPORARY, |bytes, _| {
        let step = u32::try_from(bytes.number()?).ok();
        let site = step.and_then(|step| before.checked_add(step));
        before = site.ok_or(Damage::Value("a site that no account has"))?;
        let amount = Amount {
            bytes: bytes.number()?.cast_signed(),
            blocks: bytes.number()?.cast_signed(),
        };
        Ok((before, amount))
    })?;
    Ok(entries.into_iter().collect())
}
