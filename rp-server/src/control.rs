//! The control plane: one tokio thread that runs the bank, answers the admin socket and hears signals.
//!
//! It never touches a data packet: it reaches the workers by notes and reads their counters.

mod campaign;
mod drain;
mod followed;
mod keeping;
mod mint;
mod reload;
mod signals;

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rp_core::engine::bank::{Bank, Plan};
use rp_core::steer;
use rtrb::PushError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::admin::{Answer, Question};
use crate::archivist::Archive;
use crate::clock::Clock;
use crate::config::Start;
use crate::intake::Intake;
use crate::life::Age;
use crate::limits::Keeper;
use crate::scribe::Desk;
use crate::sight::Sight;
use crate::snapshot::{Campaign, Publisher, Recorder};
use crate::systemd::Systemd;
use crate::worker::BankRings;
use campaign::{Change, ENDING};
pub use campaign::{PlanChange, refusal};
use drain::Drain;
use followed::Followed;
pub use mint::{MintOrder, Minted, Mints};
pub use signals::{Hangups, Signals};
use tracing::{info, warn};

/// The bank's beat while money is on its way to users: their number is what takes time.
const MINT_BEAT: Duration = Duration::from_millis(1);
/// The beat while a campaign runs: prizes leave at most this late.
const CAMPAIGN_BEAT: Duration = Duration::from_millis(5);
/// The beat of a bank that has nothing to do. Waking up costs more than the work: a thousand beats a second would be a
/// thirtieth of a core.
const QUIET_BEAT: Duration = Duration::from_millis(20);

/// The beat of a server that is about to end.
const LAST_BEAT: Duration = Duration::from_millis(1);

/// An address that this machine got is served past the stack so soon.
const HOMES_REFRESH: Duration = Duration::from_secs(1);

/// A question from the admin socket and where its answer goes.
pub type Call = (Question, Done);
/// Where an answer goes.
type Done = oneshot::Sender<Answer>;

/// The bank and what it must reach.
pub struct Control {
    bank: Bank,
    rings: BankRings,
    desk: Desk,
    archive: Archive,
    folded: u64,
    clock: Clock,
    sight: Arc<Sight>,
    mints: Mints<oneshot::Sender<Answer>>,
    /// Answers that wait until so many postings of the bank are on disk.
    late: Vec<(u64, Answer, oneshot::Sender<Answer>)>,
    /// The campaign that is being stopped, and who asked.
    stopping: Option<(u32, oneshot::Sender<Answer>)>,
    /// The campaign that is being changed.
    change: Option<Change>,
    /// How the server was started, for a reload.
    start: Start,
    /// The file's campaign, until it is followed.
    wish: Option<Plan>,
    followed: Followed,
    systemd: Systemd,
    keeper: Keeper,
    intake: Intake,
    recorder: Recorder,
    publisher: Publisher,
    /// How far what is under way is from its end, once nothing more comes in.
    drain: Option<Drain>,
    /// The remedy for false checksums was told.
    has_hinted: bool,
}

impl Control {
    /// A control plane over these workers, with the desk and the archive of the bank.
    pub fn new(
        sight: Arc<Sight>,
        bank: Bank,
        rings: BankRings,
        (desk, archive): (Desk, Archive),
        keeper: Keeper,
        intake: Intake,
        publisher: Publisher,
    ) -> Self {
        Self {
            bank,
            rings,
            desk,
            archive,
            recorder: Recorder::new(sight.clone()),
            publisher,
            folded: 0,
            clock: sight.clock,
            systemd: Systemd::new(sight.clone()),
            sight,
            mints: Mints::default(),
            late: Vec::new(),
            stopping: None,
            change: None,
            start: Start::default(),
            wish: None,
            followed: Followed::default(),
            keeper,
            intake,
            drain: None,
            has_hinted: false,
        }
    }

    /// The same, which can be told to read its configuration again; the ledger is in this folder, if there is one.
    pub fn following(self, start: Start, wish: Option<Plan>, folder: Option<PathBuf>) -> Self {
        Self { start, wish, followed: Followed::in_folder(folder), ..self }
    }

    /// Beats until a worker is gone, or a signal asks to stop: then nothing more is let in, and it goes on until everything
    /// under way has come to its end, or has had so long. A second signal ends it at once.
    pub async fn run(mut self, mut calls: mpsc::Receiver<Call>, signals: Signals, drain_max: Duration) {
        let Signals { mut terminate, mut interrupt, mut hangup } = signals;
        let mut watch = tokio::time::interval_at(Instant::now() + self.systemd.rest(), self.systemd.rest());
        watch.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.serve();
        let mut homes = tokio::time::interval(HOMES_REFRESH);
        let has_xsks = !self.sight.xsks.is_empty();
        let mut beaten = Instant::now();
        self.publisher.beat(self.clock.now().mono_us);
        let mut second = beaten + self.recorder.rest();
        loop {
            // From the last beat on, so that no rush of questions puts it off.
            tokio::select! {
                () = tokio::time::sleep_until(beaten + self.rest()) => {
                    beaten = Instant::now();
                    self.beat();
                    let is_broken = self.sight.is_a_worker_gone() || self.desk.scribe().gone.load(Ordering::Relaxed);
                    if is_broken {
                        self.sight.life.grow(Age::Broken);
                    }
                    if is_broken || self.is_drained() {
                        break;
                    }
                }
                () = tokio::time::sleep_until(second) => {
                    self.record();
                    self.followed.try_again();
                    second = Instant::now() + self.recorder.rest();
                }
                _ = homes.tick(), if has_xsks => {
                    self.sight.homes.refresh();
                    self.hint_at_checksums();
                }
                _ = watch.tick() => self.systemd.beat(self.bank.campaign().map(|(number, ..)| number)),
                Some((question, done)) = calls.recv() => self.answer(question, done),
                _ = hangup.recv() => self.hear_of_reload(),
                _ = terminate.recv() => if self.drain(drain_max) { break },
                _ = interrupt.recv() => if self.drain(drain_max) { break },
            }
        }
        self.end();
        // What began with the last postings is written down.
        self.succeed();
        self.followed.try_again();
    }

    /// All is in its place: the file's campaign begins or goes on, and whoever waits for that is told.
    fn serve(&mut self) {
        self.resume_change();
        let wish = self.wish.take();
        self.follow(wish);
        self.sight.life.grow(Age::Serving);
        info!("serving; SIGTERM or Ctrl-C stops");
        self.systemd.ready();
    }

    /// Lets nothing more in, and has the workers bring what is under way to its end; `true` when it was said before.
    fn drain(&mut self, drain_max: Duration) -> bool {
        if self.drain.is_some() {
            warn!("a second signal: what is under way is left");
            return true;
        }
        self.sight.life.grow(Age::Draining);
        self.systemd.stopping(drain_max);
        info!("draining: nothing more is let in, what is under way comes to its end");
        self.intake.close();
        for worker in &self.sight.workers {
            worker.face.drains.store(true, Ordering::Release);
        }
        self.rings.wakers.iter().for_each(rp_net::wait::Waker::wake);
        self.drain = Some(Drain::begin(std::time::Instant::now(), drain_max));
        false
    }

    /// Has everything under way come to its end, or is the time for it over?
    fn is_drained(&mut self) -> bool {
        let Some(drain) = &mut self.drain else { return false };
        let is_answered =
            self.change.is_none() && self.stopping.is_none() && self.late.is_empty() && self.mints.is_empty();
        // The rings first: who took a note from one does not rest any more.
        let is_settled = is_answered && self.bank.is_at_rest() && self.rings.are_empty();
        let rest = is_settled.then(|| {
            let since = self.sight.workers.iter().map(|worker| worker.face.rests_since.load(Ordering::SeqCst));
            since.map(NonZeroU64::new).collect()
        });
        drain.is_over(rest.flatten(), std::time::Instant::now())
    }

    /// Says once why datagrams may have false checksums: over a veth it is the usual cause of a server that hears nobody.
    fn hint_at_checksums(&mut self) {
        let dropped = self.sight.bad_checksums();
        if dropped > 0 && !self.has_hinted {
            self.has_hinted = true;
            warn!(
                "{dropped} datagrams that came by AF_XDP had a false checksum: does a veth's other end leave checksums to a \
                 card? `ethtool -K NAME tx off` there, or --transport sockets here"
            );
        }
    }

    /// Takes the snapshot of the second that has begun.
    fn record(&mut self) {
        let campaign = self.bank.campaign().map(|(number, plan, released)| Campaign { number, plan, released });
        if let Some(snapshot) = self.recorder.take(self.publisher.newest_s(), campaign) {
            self.publisher.publish(snapshot);
        }
    }

    /// Until the next beat.
    fn rest(&mut self) -> Duration {
        if self.drain.is_some() {
            LAST_BEAT
        } else if !self.mints.is_empty() || !self.late.is_empty() || self.stopping.is_some() || self.change.is_some() {
            MINT_BEAT
        } else if self.bank.campaign().is_some() || !self.bank.journal().is_durable() {
            CAMPAIGN_BEAT
        } else {
            QUIET_BEAT
        }
    }

    fn beat(&mut self) {
        let now = self.clock.now();
        self.publisher.beat(now.mono_us);
        for ring in &mut self.rings.from {
            while self.bank.journal().has_room()
                && let Ok(note) = ring.pop()
            {
                self.bank.receive(note, now);
            }
        }
        // Every beat: the gate's wall clock is as right as ours.
        self.keeper.beat();
        // A prize on its way to a server that ends would only be on its way back.
        if self.drain.is_none() {
            self.bank.tick(now);
        }
        self.mints.push(&mut self.bank, now);
        self.keep();
        self.send();
        if let Some((done, answer)) = self.mints.end(&self.bank) {
            // Whoever asked may be gone; the money is booked all the same.
            let _ = done.send(answer);
        }
        self.succeed();
        self.answer_late();
        self.fold();
    }

    /// Answers whose postings are on disk.
    fn answer_late(&mut self) {
        let is_over = |bank: &Bank, number: u32| bank.campaign().is_none_or(|(running, ..)| running != number);
        // A change that was to come is struck out first.
        let is_struck = self.change.as_ref().is_none_or(Change::goes_on);
        if let Some((number, done)) = self.stopping.take_if(|(number, _)| is_struck && is_over(&self.bank, *number)) {
            info!(campaign = number, back_fen = self.bank.closed_fen(), "campaign {number} stopped");
            let answer = if self.followed.is_unwritten() {
                let why = "but that no other follows it could not be written down (the log says why)";
                Answer::Refused(format!("campaign {number} stopped, {why}: the next start may begin another"))
            } else {
                Answer::Done(format!("campaign {number} stopped; what was not won is back"))
            };
            self.late.push((self.bank.journal().written(), answer, done));
        }
        let bank = &mut self.bank;
        for (_, answer, done) in self.late.extract_if(.., |(after, ..)| bank.journal().is_kept(*after)) {
            let _ = done.send(answer);
        }
    }

    /// Hands the notes to the workers' rings, in order; what finds no room waits for the next beat.
    fn send(&mut self) {
        let workers = self.rings.to.len() as u32;
        let mut told = vec![false; workers as usize];
        while let Some(note) = self.bank.pop_note() {
            let worker = steer::worker_of(u32::from(note.to), workers) as usize;
            if let Err(PushError::Full(note)) = self.rings.to[worker].push(note) {
                self.bank.unpop_note(note);
                break;
            }
            told[worker] = true;
        }
        told.iter().zip(&self.rings.wakers).filter(|(told, _)| **told).for_each(|(_, waker)| waker.wake());
    }

    fn answer(&mut self, question: Question, done: oneshot::Sender<Answer>) {
        let answer = match question {
            Question::CampaignStart(_)
            | Question::CampaignStop
            | Question::CampaignChange(_)
            | Question::Mint(_)
            | Question::Reload
                if self.drain.is_some() =>
            {
                Answer::Refused(ENDING.to_owned())
            }
            Question::Status => Answer::Status(Box::new(self.sight.status())),
            Question::Snapshot { second } => match self.publisher.at(second) {
                Ok(snapshot) => Answer::Snapshot(snapshot.text().to_string()),
                Err(why) => Answer::Refused(why),
            },
            Question::Sessions => Answer::Sessions(self.sight.by_client()),
            Question::Timeline => Answer::Timeline(self.sight.timeline()),
            Question::CampaignShow => self.show_campaign(),
            Question::CampaignStart(plan) => return self.start_campaign(plan, done),
            Question::CampaignStop => return self.stop_campaign(done),
            Question::CampaignChange(change) => return self.change_campaign(&change, done),
            Question::Reload => self.answer_reload(),
            Question::Limits(change) => {
                let (before, limits) = (self.keeper.limits(), self.keeper.change(&change));
                if before != limits {
                    info!("limits by hand: {limits:?}");
                }
                Answer::Limits(limits)
            }
            Question::Deny { add, remove } => match self.keeper.deny(&add, &remove) {
                Ok(list) => {
                    if !add.is_empty() || !remove.is_empty() {
                        info!(prefixes = list.len(), "deny list by hand: {} prefixes", list.len());
                    }
                    Answer::Denied(list)
                }
                Err(error) => Answer::Refused(format!("{error:#}")),
            },
            Question::Mint(order) => match self.mints.begin(&order, done) {
                Some((done, answer)) => return drop(done.send(answer)),
                None => return,
            },
        };
        let _ = done.send(answer);
    }

    /// Tells all workers to stop.
    pub fn stop(sight: &Sight, wakers: &[rp_net::wait::Waker]) {
        for worker in &sight.workers {
            worker.face.stop.store(true, Ordering::SeqCst);
        }
        wakers.iter().for_each(rp_net::wait::Waker::wake);
    }
}
