//! A bounded pool of small things that hang in lists, by number instead of by pointer.

/// No entry.
pub const NONE: u32 = u32::MAX;
/// The largest number that an entry may have.
pub const NODE_MAX: u32 = NONE - 1;

struct Entry<T> {
    next: u32,
    value: T,
}

/// Up to a limit of values, each with a number and a link to another.
pub struct Pool<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    live: usize,
    limit: usize,
}

impl<T> Pool<T> {
    /// An empty pool for at most `limit` values.
    pub fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), free: NONE, live: 0, limit: limit.min(NONE as usize) }
    }

    /// Puts a value in front of the list that starts at `next`, and returns its number; `None` when the pool is full.
    pub fn push(&mut self, value: T, next: u32) -> Option<u32> {
        if self.live == self.limit {
            return None;
        }
        self.live += 1;
        if self.free == NONE {
            self.entries.push(Entry { next, value });
            return Some(self.entries.len() as u32 - 1);
        }
        let number = self.free;
        let entry = &mut self.entries[number as usize];
        self.free = entry.next;
        *entry = Entry { next, value };
        Some(number)
    }

    /// The value of this number, which must be live.
    pub fn value(&mut self, number: u32) -> &mut T {
        &mut self.entries[number as usize].value
    }

    /// The number after this one in its list.
    pub fn next(&self, number: u32) -> u32 {
        self.entries[number as usize].next
    }

    /// Links `number` to `next`.
    pub fn link(&mut self, number: u32, next: u32) {
        self.entries[number as usize].next = next;
    }

    /// Frees a number that no list holds.
    pub fn free(&mut self, number: u32) {
        self.entries[number as usize].next = self.free;
        self.free = number;
        self.live -= 1;
    }

    /// Takes `number` out of the list that starts at `head` and frees it; returns the list's new head.
    pub fn remove(&mut self, head: u32, number: u32) -> u32 {
        let after = self.next(number);
        let mut at = head;
        while at != number && at != NONE {
            let next = self.next(at);
            if next == number {
                self.link(at, after);
            }
            at = next;
        }
        self.free(number);
        if head == number { after } else { head }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pool: &mut Pool<char>, mut at: u32) -> String {
        let mut text = String::new();
        while at != NONE {
            text.push(*pool.value(at));
            at = pool.next(at);
        }
        text
    }

    #[test]
    fn values_leave_their_list_from_any_place_and_their_room_is_used_again() {
        let mut pool = Pool::new(3);
        let a = pool.push('a', NONE).expect("room");
        let b = pool.push('b', a).expect("room");
        let c = pool.push('c', b).expect("room");
        assert_eq!(pool.push('d', c), None);
        let head = pool.remove(c, b);
        assert_eq!(list(&mut pool, head), "ca");
        let e = pool.push('e', head).expect("b's room");
        assert_eq!((e, pool.live), (b, 3));
        let head = pool.remove(e, e);
        let head = pool.remove(head, a);
        assert_eq!((list(&mut pool, head).as_str(), pool.live), ("c", 1));
    }
}
