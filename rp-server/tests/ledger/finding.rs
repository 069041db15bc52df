//! Questions about packets and users, answered from files with and without indices as a look at every posting answers them.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use rp_core::engine::asks::{Ask, DetailAsk, HistoryAsk, Reader};
use rp_core::kind::Kind;
use rp_core::limits::DATAGRAM_MAX;
use rp_core::posting::{Act, Posting, Terms};
use rp_core::wire::{Field, HistoryPage, HistoryRow, Peer, SHAKE_LEN};
use rp_server::ledger::memory::MemoryStore;
use rp_server::ledger::{Finder, Heads, Opened, Place, Projection, Reach, archive, sqlite};
use rusqlite::Connection;

use crate::house::{Folder, bytes, commit, mark};

/// Few, so that each has more than a page; two of them have numbers that packets have, too.
const USERS: [u64; 6] = [1, 2, 3, 0x1_0000, 1 << 48 | 5 << 16, u64::MAX];
const SETS: u64 = 3;

/// Packets that are sent, taken and refunded, prizes and deposits, by users of all SETs.
struct Doings {
    rng: ChaCha8Rng,
    heads: Heads,
    made: [u64; SETS as usize],
    /// Id, shares that are left, and their fen.
    open: Vec<(u64, u8, u64)>,
    packets: Vec<u64>,
}

impl Doings {
    fn new() -> Doings {
        let (rng, heads) = (ChaCha8Rng::seed_from_u64(7), Heads::default());
        Doings { rng, heads, made: [0; SETS as usize], open: Vec::new(), packets: Vec::new() }
    }

    fn below(&mut self, end: usize) -> usize {
        self.rng.next_u64() as usize % end
    }

    fn group(&mut self, count: usize) -> Vec<u8> {
        (0..count).flat_map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Vec<u8> {
        let user = USERS[self.below(USERS.len())];
        let plain = Posting::new(Act::Won, 1_700_000_000_000 + self.rng.next_u64() % 1000);
        let mut tail = [0; Terms::LEN + 8 * USERS.len()];
        let posting = match self.below(8) {
            0 => Posting { credit: user, fen: 100, ..Posting { act: Act::Deposited, ..plain } },
            1 => Posting { debit: user, fen: self.rng.next_u64() % 2, ..Posting { act: Act::Withdrawn, ..plain } },
            2 => Posting { debit: 1, credit: user, fen: 5, about: 1 << 32 | 9, ..plain },
            3 => Posting { debit: user, about: 3, ..Posting { act: Act::Seen, ..plain } },
            4 => {
                let (id, shares) = (self.make(), 3);
                put_terms(&mut tail);
                self.open.push((id, shares, 30));
                Posting { debit: user, credit: id, fen: 30, tail: &tail, ..Posting { act: Act::Sent, ..plain } }
            }
            draw => self.take(draw == 5, user, plain),
        };
        let set = (posting.debit.max(posting.credit) >> 48) as u16 % SETS as u16;
        let sequence = self.heads.of(set) + 1;
        self.heads.follow(set, sequence).expect("it follows");
        bytes(&Posting { set, sequence, ..posting })
    }

    fn make(&mut self) -> u64 {
        let set = self.below(SETS as usize);
        self.made[set] += 1;
        let id = (set as u64) << 48 | self.made[set] << 16 | self.below(40) as u64;
        self.packets.push(id);
        id
    }

    /// A share of an open packet is taken, or the packet comes back.
    fn take(&mut self, comes_back: bool, user: u64, plain: Posting<'static>) -> Posting<'static> {
        if self.open.is_empty() {
            return Posting { credit: user, fen: 1, ..Posting { act: Act::Deposited, ..plain } };
        }
        let at = self.below(self.open.len());
        let (id, shares, left) = &mut self.open[at];
        let (debit, fen) = (*id, if comes_back || *shares == 1 { *left } else { 10 });
        (*shares, *left) = (*shares - 1, *left - fen);
        if *left == 0 {
            self.open.swap_remove(at);
        }
        let act = [Act::Taken, Act::Handed][self.below(2)];
        Posting { act: if comes_back { Act::Refunded } else { act }, debit, credit: user, fen, ..plain }
    }
}

fn files(folder: &Folder) -> impl Iterator<Item = String> {
    folder.files().into_iter().filter(|name| name.starts_with("postings") && name.ends_with(".db"))
}

/// Three shares for all users.
fn put_terms(tail: &mut [u8]) {
    let recipients = USERS.len() as u8;
    let terms =
        Terms { expires_ms: 1, seed: [1; 16], set: 0, split: 0, audience: 0, shares: 3, recipients, greeting_len: 0 };
    let at = terms.put(tail);
    for (user, room) in USERS.iter().zip(tail[at..].chunks_exact_mut(8)) {
        user.put(room);
    }
}

fn reader(user: u64) -> Reader {
    let (key, peer) = ([3; 16], Peer::default());
    Reader { user, set: 1, request: 9, counter: 4, key, sealing: None, session: 77, peer, door: 0 }
}

fn answer(finder: &mut dyn Finder, ask: &Ask) -> Vec<u8> {
    let mut out = [0; DATAGRAM_MAX];
    let len = finder.answer(ask, &mut out).expect("the ledger can be read");
    assert!(len > SHAKE_LEN);
    out[..len].to_vec()
}

/// Asks both everything; how many answers were pages.
fn compare(one: &mut Opened, other: &mut Opened, packets: &[u64]) -> usize {
    let mut pages = 0;
    let finders = |opened: &mut Opened| opened.finder.take().expect("it keeps postings");
    let (mut a, mut b) = (finders(one), finders(other));
    let mut same = |ask: Ask| {
        let (a, b) = (answer(&mut *a, &ask), answer(&mut *b, &ask));
        assert_eq!(a, b, "{ask:?}");
        pages += usize::from(a[0] != Kind::Refused.first_byte());
        a
    };
    for user in USERS.into_iter().chain([4]) {
        let mut before = 0;
        loop {
            let page = same(Ask::History(HistoryAsk { reader: reader(user), before }));
            before = HistoryPage::take(&page).expect("a page").next;
            if before == 0 {
                break;
            }
        }
        for before in [1, 2, 500, 1 << 40, u64::MAX] {
            same(Ask::History(HistoryAsk { reader: reader(user), before }));
        }
    }
    let never = packets.iter().map(|id| id ^ 63);
    for packet in packets.iter().copied().chain(never).chain(USERS) {
        same(Ask::Detail(DetailAsk { reader: reader(1), packet, first: 0 }));
    }
    (one.finder, other.finder) = (Some(a), Some(b));
    pages
}

#[test]
fn what_is_found_by_indices_is_what_a_look_at_everything_finds() {
    let (folder, memory) = (Folder::new(), MemoryStore::new(true));
    let mut ledgers = [sqlite::open(&folder.place(), &mut ()), memory.open(&mut ())].map(|opened| opened.expect("new"));
    let mut doings = Doings::new();
    let mut pages = 0;
    let files = || files(&folder);
    for _ in 0..3 {
        let wanted = files().count() + 3;
        // A file is closed when the next is made, which is another thread's work.
        while files().count() < wanted {
            let group = doings.group(100);
            for opened in &mut ledgers {
                commit(opened, &group);
            }
        }
        // Files are closed, settled and given indices meanwhile: nobody may notice.
        let [disk, memory] = &mut ledgers;
        pages += compare(disk, memory, &doings.packets);
    }
    let [disk, mut memory] = ledgers;
    assert!(pages > 500, "{pages} pages");
    disk.ledger.close().expect("there is room");
    let has_indices = |name: &String| {
        let file = Connection::open(folder.file(name)).expect("it is there");
        let sql = "SELECT count(*) = 2 FROM sqlite_schema WHERE type = 'index'";
        file.query_one(sql, [], |row| row.get::<_, bool>(0)).unwrap_or_default()
    };
    // As an older rp-server left it: none has, and all is as before.
    for name in files() {
        let file = Connection::open(folder.file(&name)).expect("it is there");
        file.execute_batch("DROP INDEX IF EXISTS posting_debit; DROP INDEX IF EXISTS posting_credit;")
            .expect("it is ours");
    }
    let with_thread = Place { is_inline: false, ..folder.place() };
    let mut disk = sqlite::open(&with_thread, &mut ()).expect("a ledger is as good without");
    compare(&mut disk, &mut memory, &doings.packets);
    // It gets them without being asked.
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while files().filter(has_indices).count() < 6 {
        assert!(std::time::Instant::now() < until, "old files get their indices");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    compare(&mut disk, &mut memory, &doings.packets);
}

/// All of a user's history, and in how many pages it came.
fn whole(finder: &mut dyn Finder, user: u64) -> (Vec<u8>, usize) {
    let (mut rows, mut pages, mut before) = (Vec::new(), 0, 0);
    loop {
        let bytes = answer(finder, &Ask::History(HistoryAsk { reader: reader(user), before }));
        let page = HistoryPage::take(&bytes).expect("a page");
        rows.extend(&bytes[HistoryPage::LEN..][..usize::from(page.count) * HistoryRow::LEN]);
        pages += 1;
        if page.next == 0 {
            return (rows, pages);
        }
        assert!(before == 0 || page.next < before, "it goes on");
        before = page.next;
    }
}

#[test]
fn a_history_over_more_files_than_may_be_open_is_whole() {
    const FILES: usize = 14;
    let folder = Folder::new();
    let mut opened = sqlite::open(&folder.place(), &mut ()).expect("a new ledger");
    let mut doings = Doings::new();
    // Whose only row is in the first file, and who never had one.
    let (once, never) = (4, 5);
    let first =
        Posting { set: 0, sequence: 1, credit: once, fen: 9, ..Posting::new(Act::Deposited, 1_700_000_000_000) };
    doings.heads.follow(0, 1).expect("it is the first");
    commit(&mut opened, &bytes(&first));
    while files(&folder).count() < FILES {
        commit(&mut opened, &doings.group(100));
    }
    let small = Reach { open_max: 2, files_a_page: 3 };
    let copy = folder.copy();
    let mut other = sqlite::open(&Place { reach: small, ..copy.place() }, &mut ()).expect("a copy is a ledger");
    let mut far = opened.finder.take().expect("it keeps postings");
    let mut near = other.finder.take().expect("it keeps postings");
    for user in USERS.into_iter().chain([once, never]) {
        let ((rows, few), (also, many)) = (whole(&mut *far, user), whole(&mut *near, user));
        assert_eq!(rows, also, "user {user}");
        assert!(many >= few && many >= (FILES - 2) / 3, "user {user}: {many} pages, {few} of 64 files");
    }
    assert_eq!((whole(&mut *far, once).0.len(), whole(&mut *near, once).0.len()), (HistoryRow::LEN, HistoryRow::LEN));
    assert_eq!((whole(&mut *far, never).1, whole(&mut *near, never).0.len()), (1, 0));
    for packet in doings.packets {
        let ask = Ask::Detail(DetailAsk { reader: reader(1), packet, first: 0 });
        assert_eq!(answer(&mut *far, &ask), answer(&mut *near, &ask), "packet {packet}");
    }
}

#[test]
fn a_history_ends_where_the_archive_begins() {
    let (folder, archive) = (Folder::new(), Folder::new());
    let mut opened = sqlite::open(&folder.place(), &mut ()).expect("a new ledger");
    let mut doings = Doings::new();
    let mut write = |opened: &mut Opened, wanted: usize| {
        while files(&folder).count() < wanted {
            let group = doings.group(100);
            commit(opened, &group);
        }
    };
    write(&mut opened, 5);
    let mut finder = opened.finder.take().expect("it keeps postings");
    let history = |finder: &mut dyn Finder| whole(finder, 2).0;
    let before = history(&mut *finder);
    // Far beyond what it knows of.
    write(&mut opened, 12);
    mark(&mut opened);
    let heads = opened.ledger.heads().clone();
    for set in 0..SETS as u16 {
        let (sequence, floor) = (heads.of(set), opened.ledger.end().position);
        opened.keeper.keep(&Projection { set, sequence, floor, bytes: vec![1] }).expect("there is room");
    }
    let moved = archive::archive(&folder.place().dir, &archive.place().dir, 1, &mut |_, _| {}).expect("it is moved");
    assert!(moved.files > 7, "{moved:?}");
    let known = history(&mut *finder);
    opened.ledger.close().expect("there is room");
    let mut opened = sqlite::open(&folder.place(), &mut ()).expect("what is archived is not missed");
    let mut late = opened.finder.take().expect("it keeps postings");
    let left = history(&mut *late);
    assert!(!before.is_empty() && !left.is_empty());
    assert_eq!(known, left, "one who knew the archived files tells what one tells who never did");
    for packet in doings.packets {
        let ask = Ask::Detail(DetailAsk { reader: reader(1), packet, first: 0 });
        answer(&mut *finder, &ask);
        answer(&mut *late, &ask);
    }
}
