//! Locks of one file among those who have it open, by SQLite's rules: of the file itself and of the slots of its shared
//! memory (https://sqlite.org/lockingv3.html, https://sqlite.org/walformat.html).

use std::collections::BTreeMap;

/// Levels of the file's own lock, as SQLite numbers them.
const SHARED: i32 = 1;
const RESERVED: i32 = 2;
const PENDING: i32 = 3;
const EXCLUSIVE: i32 = 4;
/// Slots of shared memory that can be locked.
pub const SLOTS: usize = 8;

/// Who holds what.
#[derive(Default)]
pub struct Locks {
    levels: BTreeMap<u64, i32>,
    /// By slot: holders, and whether they hold it alone.
    slots: [BTreeMap<u64, bool>; SLOTS],
}

impl Locks {
    /// Raises a holder's level; says whether it was free.
    pub fn raise(&mut self, holder: u64, level: i32) -> bool {
        let own = self.levels.get(&holder).copied().unwrap_or(0);
        if own >= level {
            return true;
        }
        let highest = self.highest_beside(holder);
        let is_free = match level {
            SHARED => highest < PENDING,
            RESERVED => highest < RESERVED,
            _ => highest < SHARED,
        };
        if is_free {
            self.levels.insert(holder, level);
        } else if level == EXCLUSIVE && highest < RESERVED {
            // Nobody new comes in while it waits for those inside to leave.
            self.levels.insert(holder, PENDING);
        }
        is_free
    }

    /// Lowers a holder's level.
    pub fn lower(&mut self, holder: u64, level: i32) {
        match level {
            0 => self.levels.remove(&holder),
            level => self.levels.insert(holder, level),
        };
    }

    /// Does anybody mean to write?
    pub fn is_reserved(&self) -> bool {
        self.levels.values().any(|level| *level >= RESERVED)
    }

    /// Locks slots for a holder; says whether all were free.
    pub fn lock_slots(&mut self, holder: u64, slots: std::ops::Range<usize>, is_alone: bool) -> bool {
        let slots = &mut self.slots[slots];
        let hinders = |other: (&u64, &bool)| *other.0 != holder && (is_alone || *other.1);
        if slots.iter().any(|slot| slot.iter().any(hinders)) {
            return false;
        }
        for slot in slots {
            slot.insert(holder, is_alone);
        }
        true
    }

    /// Unlocks them.
    pub fn unlock_slots(&mut self, holder: u64, slots: std::ops::Range<usize>) {
        for slot in &mut self.slots[slots] {
            slot.remove(&holder);
        }
    }

    fn highest_beside(&self, holder: u64) -> i32 {
        self.levels.iter().filter(|(other, _)| **other != holder).map(|(_, level)| *level).max().unwrap_or(0)
    }
}
