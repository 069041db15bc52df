//! The terminal while the view fills it: a thread draws the newest picture and reads the keys; whatever ends the program, the
//! terminal is as it was.

use std::io::{self, Stdout};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, is_raw_mode_enabled,
};
use rp_net::stop;

use super::picture::Picture;
use super::view;

/// Keys are looked for this often.
const KEYS: Duration = Duration::from_millis(100);
/// So long the thread that draws may take to see that it is over; it looks for keys that often.
const LAST_PICTURE: Duration = Duration::from_secs(5);

/// The view's thread.
pub struct Screen {
    pictures: Option<SyncSender<Picture>>,
    thread: Option<JoinHandle<()>>,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// There is none.
    pub fn begin() -> Result<Self> {
        enable_raw_mode().context("no terminal to fill; --live lines or off does without")?;
        let begun = execute!(io::stdout(), EnterAlternateScreen).map_err(anyhow::Error::from).and_then(|()| {
            let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
            restore_on_panic();
            let (pictures, newest) = sync_channel(1);
            let thread = std::thread::Builder::new().name("view".into()).spawn(move || draw(terminal, &newest))?;
            Ok(Self { pictures: Some(pictures), thread: Some(thread) })
        });
        if begun.is_err() {
            restore();
        }
        begun.context("filling the terminal; --live lines or off does without")
    }

    /// Hands over a picture; while the last one is still being drawn, it is left out.
    pub fn show(&mut self, picture: Picture) {
        if let Some(pictures) = &self.pictures
            && let Err(TrySendError::Disconnected(_)) = pictures.try_send(picture)
        {
            self.pictures = None;
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.pictures = None;
        let until = Instant::now() + LAST_PICTURE;
        // Of a terminal that has gone away its keys are waited for without end, and the report must not wait with them.
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        // A view that panicked has restored the terminal by the hook.
        let _ended = self.thread.take().filter(JoinHandle::is_finished).map(JoinHandle::join);
        restore();
    }
}

/// Gives the terminal back, as often as it is asked.
pub fn restore() {
    if is_raw_mode_enabled().unwrap_or(false) {
        // Nothing is left to be done with a terminal that is gone.
        let _gone = disable_raw_mode();
        let _gone = execute!(io::stdout(), LeaveAlternateScreen, Show);
    }
}

fn restore_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        before(panic);
    }));
}

fn draw(mut terminal: Terminal<CrosstermBackend<Stdout>>, pictures: &Receiver<Picture>) {
    let (mut picture, mut is_help) = (Picture::default(), false);
    loop {
        let mut is_new = false;
        loop {
            match pictures.try_recv() {
                Ok(newer) => (picture, is_new) = (newer, true),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        is_new |= match event::poll(KEYS).and_then(|is_there| is_there.then(event::read).transpose()) {
            Ok(Some(Event::Key(key))) => press(key, &mut is_help),
            Ok(Some(Event::Resize(..))) => true,
            Ok(_) => false,
            // The terminal has gone: the run goes on without.
            Err(_) => return,
        };
        if is_new && terminal.draw(|frame| view::draw(frame, &picture, is_help)).is_err() {
            return;
        }
    }
}

/// Does what a key says; is there something to be drawn?
fn press(key: KeyEvent, is_help: &mut bool) -> bool {
    if key.kind != KeyEventKind::Press {
        return false;
    }
    match key.code {
        // The terminal is raw, so that Ctrl-C is a key; it counts as the signal that it would be.
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => stop::request_now(),
        KeyCode::Char('q') if !stop::requested() => stop::request_now(),
        KeyCode::Char('?' | 'h') => *is_help = !*is_help,
        KeyCode::Esc => *is_help = false,
        _ => return false,
    }
    true
}
