//! The memory that gate and server share, mapped by the server: sessions, prizes, client addresses, limits, and what only
//! the gate counts. Sized by the loader.

use aya_ebpf::bindings::BPF_F_MMAPABLE;
use aya_ebpf::btf_maps::{Array, LpmTrie, PerCpuArray};
use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns};
use aya_ebpf::macros::btf_map;
use aya_ebpf::maps::lpm_trie::Key;
use rp_core::bucket::{Rate, take_shared};
use rp_core::clients::{CLIENT_ROWS, Clients};
use rp_core::cookie::Baker;
use rp_core::entry::Entry;
use rp_core::gate::{Ground, Ruled, Ruling};
use rp_core::gate_counters::{CLIENT_WORDS, ClientWord};
use rp_core::kind::Kind;
use rp_core::limits::{DENIED_MAX, PREFIX_BUCKETS};
use rp_core::now::Now;
use rp_core::pot::Pot;
use rp_core::rules::{Limit, RULES_WORDS, Rules};
use rp_core::timeline;
use rp_core::wire::Origin;

use crate::atomics::{Line, LineBytes, compare_and_swap};
use crate::config;

const SHARED: usize = BPF_F_MMAPABLE as usize;

#[btf_map(name = "sessions")]
static SESSIONS: Array<LineBytes, 1, SHARED> = Array::new();
#[btf_map(name = "pots")]
static POTS: Array<LineBytes, 1, SHARED> = Array::new();
#[btf_map(name = "clients")]
static CLIENTS: Array<LineBytes, CLIENT_ROWS, SHARED> = Array::new();
#[btf_map(name = "rules")]
static RULES: Array<[u64; RULES_WORDS], 1, SHARED> = Array::new();
/// Rows of [`CLIENT_ROWS`] clients for each CPU.
#[btf_map(name = "client_rows")]
static CLIENT_COUNTS: Array<[u64; CLIENT_WORDS], 1, SHARED> = Array::new();
/// Bins of the timeline for each CPU.
#[btf_map(name = "timeline")]
static TIMELINE: Array<u64, 1, SHARED> = Array::new();
/// Buckets of this CPU: strangers, sessions.
#[btf_map(name = "buckets")]
static BUCKETS: PerCpuArray<[u64; 2], 1> = PerCpuArray::new();
#[btf_map(name = "prefix_buckets")]
static PREFIXES: Array<u64, PREFIX_BUCKETS> = Array::new();
#[btf_map(name = "denied")]
static DENIED: LpmTrie<[u8; 16], u8, DENIED_MAX> = LpmTrie::new();

/// The maps as the gate's decisions see them.
pub struct Kernel {
    rules: Rules<Line>,
    now: Now,
    cpu: u32,
}

impl Kernel {
    /// None only before the verifier's eyes.
    #[inline(always)]
    pub fn here() -> Option<Kernel> {
        let rules = Rules(Line::new(RULES.get_ptr_mut(0)?.cast()));
        let mono_us = if config::takes_time_from_map() {
            rules.mono_us()
        } else {
            // SAFETY: the helper takes nothing and reads a clock.
            unsafe { bpf_ktime_get_ns() / 1000 }
        };
        let now = Now { mono_us, unix_us: mono_us.wrapping_add(rules.unix_less_mono_us()) };
        // SAFETY: the helper takes nothing and reads the number of this CPU.
        let cpu = unsafe { bpf_get_smp_processor_id() };
        Some(Kernel { rules, now, cpu })
    }

    /// Counts what ended here in its client's row.
    #[inline(always)]
    pub fn count(&self, kind: Kind, ruled: &Ruled) {
        let ending = match ruled.ruling {
            Ruling::Up => return,
            Ruling::Answer(kind) => ClientWord::answer(kind),
            Ruling::Drop(_) => ClientWord::DROPPED,
        };
        let row = self.cpu * CLIENT_ROWS as u32 + u32::from(ruled.client) % CLIENT_ROWS as u32;
        if let Some(words) = CLIENT_COUNTS.get_ptr_mut(row) {
            for word in [ClientWord::received(kind), ending] {
                if word.index() < CLIENT_WORDS {
                    // SAFETY: inside the row, as just compared. Only this CPU writes to its rows, one program at a time.
                    unsafe { *words.cast::<u64>().add(word.index()) += 1 }
                }
            }
        }
    }

    #[inline(always)]
    fn admit(&self, bucket: usize, limit: Limit) -> Result<(), u64> {
        if limit.interval_ns == 0 {
            return Ok(());
        }
        let Some(buckets) = BUCKETS.get_ptr_mut(0) else { return Ok(()) };
        // SAFETY: callers pass 0 or 1, constants. Only this CPU uses its buckets, one program at a time.
        let full_at_ns = unsafe { &mut *buckets.cast::<u64>().add(bucket) };
        *full_at_ns = take_shared(*full_at_ns, limit.interval_ns, limit.burst_ns, self.now.mono_us * 1000)?;
        Ok(())
    }
}

/// A look-up's key with its address on a multiple of eight: it is written in words, and the verifier takes those nowhere else.
#[repr(C, align(8))]
struct Whole {
    _pad: u32,
    key: Key<[u8; 16]>,
}

impl Clients for Kernel {
    type Line = Line;

    #[inline(always)]
    fn line(&self, row: usize) -> Option<Line> {
        CLIENTS.get_ptr_mut(row as u32).map(Line::new)
    }
}

impl Ground for Kernel {
    type Line = Line;

    #[inline(always)]
    fn now(&self) -> Now {
        self.now
    }

    #[inline(always)]
    fn entry(&self, slot: u32) -> Option<Entry<Line>> {
        SESSIONS.get_ptr_mut(slot).map(|value| Entry(Line::new(value)))
    }

    #[inline(always)]
    fn pot(&self, set: u32) -> Option<Pot<Line>> {
        POTS.get_ptr_mut(set).map(|value| Pot(Line::new(value)))
    }

    #[inline(always)]
    fn session_rate(&self) -> Rate {
        self.rules.session()
    }

    #[inline(always)]
    fn baker(&self) -> Baker {
        config::baker()
    }

    #[inline(always)]
    fn denies(&self, from: &Origin) -> bool {
        if self.rules.denied() == 0 {
            return false;
        }
        let whole = Whole { _pad: 0, key: Key::new(128, from.ip_bytes()) };
        DENIED.get(&core::hint::black_box(&whole).key).is_some()
    }

    #[inline(always)]
    fn client(&self, from: &Origin) -> u16 {
        self.find(from.ip)
    }

    #[inline(always)]
    fn admit_stranger(&self) -> bool {
        self.admit(0, self.rules.strangers()).is_ok()
    }

    #[inline(always)]
    fn admit_session(&self) -> Result<(), u32> {
        self.admit(1, self.rules.sessions()).map_err(|wait_ns| (wait_ns / 1_000_000) as u32)
    }

    #[inline(always)]
    fn admit_prefix(&self, from: &Origin) -> bool {
        let limit = self.rules.prefix();
        if limit.interval_ns == 0 {
            return true;
        }
        let bucket = config::baker().prefix_bucket(from);
        let Some(word) = PREFIXES.get_ptr_mut(bucket % PREFIX_BUCKETS as u32) else { return true };
        for _ in 0..4 {
            // SAFETY: a map's value, aligned; other CPUs change it by the same swap.
            let old = unsafe { core::ptr::read_volatile(word) };
            match take_shared(old, limit.interval_ns, limit.burst_ns, self.now.mono_us * 1000) {
                Err(_) => return false,
                // SAFETY: as above.
                Ok(new) if unsafe { compare_and_swap(word, old, new) } => return true,
                Ok(_) => {}
            }
        }
        true
    }

    #[inline(always)]
    fn count_shake(&self, unix_us: u64) {
        let bin = self.cpu * timeline::BINS as u32 + timeline::bin_of(unix_us) as u32;
        if let Some(word) = TIMELINE.get_ptr_mut(bin) {
            // SAFETY: a map's value; only this CPU writes to its bins, one program at a time.
            unsafe { *word = timeline::count_up(*word, unix_us) }
        }
    }
}
