//! The live page in Chromium, before a server with a gate and a fleet: what it shows is what the server says.
//!
//! One server, one fleet and one browser serve all of it, since each takes seconds to start. Pictures for people are in
//! target/page.

mod browser;
mod door;
mod figures;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use browser::{Browser, HOME, LEFT, RIGHT, TAB};
use door::Door;
use serde_json::{Value, json};
use xtask::command;
use xtask::demo::stage::Stage;
use xtask::lab::Lab;
use xtask::programs::{Profile, Programs};
use xtask::setup::target_dir;

const USERS: u64 = 2_000;
const TOKEN: &str = "it-is-for-the-test-alone";
const LIMIT: Duration = Duration::from_secs(300);

/// A minute of load is more than the test takes on a quiet machine; it ends the fleet when it is done.
const SCENARIO: &str = "[[phase]]\nkind = \"login\"\n[[phase]]\nkind = \"shake\"\nseconds = 120\nrate = 1500\n\
                        send = { rate = 60, fen = 300, shares = 3, recipients = 3 }\n";

#[test]
#[ignore = "needs root"]
fn the_page_shows_what_the_server_says() {
    let programs = Programs::find(Profile::Dev);
    let stage = Stage::set(1, &programs).expect("a lab can be built");
    let Stage::Lab(lab) = &stage else { panic!("this test runs as root") };
    let socket = lab.room().file("http.sock");
    let http = format!("unix:{}", socket.display());
    let token = lab.room().file("token");
    std::fs::write(&token, TOKEN).expect("the room takes files");
    std::fs::set_permissions(&token, Permissions::from_mode(0o600)).expect("it is ours");
    let token = token.display().to_string();
    let server = stage
        .start_server(&programs, &["--workers", "2", "--http", &http, "--http-token", &token])
        .expect("a server starts");
    server.ask(&["mint", "--users", &format!("1..={USERS}"), "--fen", "100000"]).expect("users get money");
    let campaign =
        ["campaign", "start", "--rate", "50", "--budget-fen", "1000000", "--from-fen", "10", "--to-fen", "99"];
    server.ask(&campaign).expect("a campaign starts");
    let file = lab.room().file("scenario.toml");
    std::fs::write(&file, SCENARIO).expect("the room takes files");
    let fleet = stage.start_fleet_of(&programs, &server, USERS, &file, &["--no-reconcile"]).expect("a fleet starts");

    let door = Door::open(&socket);
    let browser = Browser::start(lab.room());
    let page = Page { browser: &browser, door: &door };
    browser.look_as(1400, 1000, "light");
    // As a browser sends what it was told once, when it was asked for a password.
    browser.open(&door.url("/").replace("http://", &format!("http://operator:{TOKEN}@")));
    browser.wait_until("document.body.dataset.link === 'live'", LIMIT);
    browser.run(WATCH);
    page.wait_for_load(lab);

    page.agrees_with_the_server();
    page.curves_are_drawn_and_told();
    page.every_second_is_shown();
    page.everything_is_reached_by_keys();
    page.fits_every_width();
    page.a_false_sum_is_red();
    page.nothing_was_refused_and_nothing_came_from_elsewhere();
    page.a_lost_line_is_said_and_taken_up_again();
    drop(fleet);
    server.end().expect("SIGTERM ends the server cleanly");
    browser.wait_until("document.body.dataset.link === 'lost'", LIMIT);
}

/// Writes down each second that is shown, and whatever the policy refuses.
const WATCH: &str = "window.secondsShown = []; window.refused = [];
    new MutationObserver(() => secondsShown.push(Number(document.body.dataset.second)))
        .observe(document.body, { attributeFilter: ['data-second'] });
    document.addEventListener('securitypolicyviolation', (event) => refused.push(event.violatedDirective));";

/// Everything that says which figure it shows, in one moment.
const FIELDS: &str = "return { second: Number(document.body.dataset.second), clock: document.querySelector('#clock').textContent,
    held: document.querySelector('#held-fen').textContent, dropped: document.querySelector('#dropped-per-s').textContent,
    sign: document.querySelector('#books-sign').className,
    fields: [...document.querySelectorAll('[data-field]')].map((e) => [e.dataset.field, e.dataset.as ?? 'count', e.textContent]) }";

struct Page<'a> {
    browser: &'a Browser,
    door: &'a Door,
}

impl Page<'_> {
    /// The server's snapshot of a second.
    fn snapshot(&self, second: u64) -> Value {
        let (status, text) = self.browser.ask(&self.door.url(&format!("/status?second={second}")), TOKEN);
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("a snapshot is JSON")
    }

    /// Until everybody shakes, and the gate throws false bytes out.
    fn wait_for_load(&self, lab: &Lab) {
        let (client, link) = &lab.clients()[0];
        let script =
            format!("exec 3>/dev/udp/{}/2015; for i in {{1..20}}; do printf 'nonsense' >&3; done", link.server_v4());
        self.browser
            .wait_until("Number(document.querySelector('#tiles b').textContent.replace(/\\D/g, '')) > 500", LIMIT);
        command::read(client.command("bash").args(["-c", &script])).expect("bash sends");
        self.browser.wait_until("document.querySelector('#dropped-most').textContent.startsWith('most')", LIMIT);
    }

    fn agrees_with_the_server(&self) {
        assert_eq!(self.browser.ask(&self.door.url("/"), "a-guess-of-some-length").0, 401, "the token is asked for");
        let mut last = 0;
        let mut seen = Vec::new();
        while seen.len() < 5 {
            let shown = self.browser.run(FIELDS);
            let second = shown["second"].as_u64().expect("the page shows a second");
            if second == last {
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
            last = second;
            let snapshot = self.snapshot(second);
            assert_shows(&shown, &snapshot);
            seen.push(snapshot);
        }
        // None of that was a row of dashes and noughts.
        for path in [
            "rates.asked_per_s",
            "rates.kernel_answered_per_s",
            "rates.workers_answered_per_s",
            "rates.prizes_got_per_s",
            "rates.packets_made_per_s",
            "kernel.rates.places.seen.datagrams",
            "status.money.taken.fen",
            "status.money.issued_fen",
            "latency_us.worker.p99",
            "latency_us.durable.p99",
            "commit_us.p99",
            "clients.0.sessions",
            "campaign.released",
        ] {
            let most = seen.iter().filter_map(|snapshot| figures::at(snapshot, path).as_f64()).fold(0.0, f64::max);
            assert!(most > 0.0, "{path} is nought in five seconds");
        }
        let dropped: u64 = seen[0]["kernel"]["totals"]["reasons"]
            .as_object()
            .expect("there is a gate")
            .values()
            .map(|row| row["datagrams"].as_u64().expect("a number"))
            .sum();
        assert!(dropped >= 20, "{dropped}");
    }

    fn curves_are_drawn_and_told(&self) {
        let drawn = self.browser.run(
            "return [...document.querySelectorAll('.plot canvas')].map((canvas) => {
                const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                return data.filter((byte, at) => at % 4 === 3 && byte > 200).length })",
        );
        let drawn = drawn.as_array().expect("a list");
        assert!(drawn.len() >= 9, "{} charts", drawn.len());
        assert!(drawn.iter().all(|points| points.as_u64() > Some(200)), "points of the curves: {drawn:?}");
        // The far end of the first chart is of before the page was opened.
        self.browser.run("document.querySelector('.plot').focus()");
        self.browser.press(&HOME.to_string());
        let told = self.browser.run(
            "const box = document.querySelector('.plot'); return [Number(box.getAttribute('aria-valuenow')),
                box.getAttribute('aria-valuetext'), document.querySelector('.curves tbody td:nth-child(3)').textContent]",
        );
        let snapshot = self.snapshot(told[0].as_u64().expect("a second"));
        let asked = figures::write(&snapshot["rates"]["asked_per_s"], "rate");
        assert_eq!(told[2], asked, "{told}");
        assert!(told[1].as_str().is_some_and(|words| words.contains(&format!("asked {asked},"))), "{told}");
        let first = self.browser.run("return secondsShown[0]");
        assert!(told[0].as_u64() < first.as_u64(), "{told} is of before {first}");
    }

    fn every_second_is_shown(&self) {
        self.browser.run("window.secondsShown = []");
        self.browser.wait_until("secondsShown.length >= 5", LIMIT);
        let shown = self.browser.run("return secondsShown");
        let shown: Vec<u64> = shown.as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
        self.are_all_seconds(&shown);
    }

    /// Each second that the server has between the first and the last, and each once.
    fn are_all_seconds(&self, shown: &[u64]) {
        assert!(shown.is_sorted_by(|one, next| one < next), "{shown:?}");
        let (first, last) = (shown[0], shown[shown.len() - 1]);
        for second in (first..last).filter(|second| !shown.contains(second)) {
            let (status, _) = self.browser.ask(&self.door.url(&format!("/status?second={second}")), TOKEN);
            assert_eq!(status, 404, "second {second} is not shown: {shown:?}");
        }
    }

    fn everything_is_reached_by_keys(&self) {
        let browser = self.browser;
        let controls = browser.run(
            "document.activeElement.blur(); window.scrollTo(0, 0);
            const all = [...document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]')];
            window.controls = all.filter((e) => e.checkVisibility() && (e.type !== 'radio' || e.checked));
            window.reached = new Set(); return controls.length",
        );
        let controls = controls.as_u64().expect("a number");
        assert!(controls > 20, "{controls} controls");
        browser.run("document.querySelector('.skip').focus()");
        for _ in 0..controls + 10 {
            let is_seen = browser.run(
                "const at = document.activeElement; reached.add(at);
                const { outlineStyle, outlineWidth } = getComputedStyle(at);
                return at === document.body || (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 1)",
            );
            assert_eq!(is_seen, true, "{}", browser.run("return document.activeElement.outerHTML.slice(0, 200)"));
            browser.press(&TAB.to_string());
        }
        let missed =
            browser.run("return controls.filter((e) => !reached.has(e)).map((e) => e.outerHTML.slice(0, 100))");
        assert_eq!(missed, json!([]));
        let rows = [
            ("input:checked", RIGHT, "document.querySelector('input[value=\"300\"]').checked"),
            ("#hold", ' ', "document.querySelector('#link-text').textContent.startsWith('held at')"),
            ("#hold", ' ', "document.querySelector('#link-text').textContent === 'live'"),
            ("#sets-strip", RIGHT, "document.querySelector('#sets-said').textContent.startsWith('SET 1: ')"),
            ("#sets details summary", ' ', "document.querySelector('#sets details').open"),
            (".plot", LEFT, "document.querySelector('.curves.marked')"),
        ];
        for (control, key, effect) in rows {
            browser.run(&format!("document.querySelector('{control}').focus()"));
            browser.press(&key.to_string());
            browser.wait_until(effect, LIMIT);
        }
    }

    fn fits_every_width(&self) {
        for (name, width, height) in [("phone", 360, 740), ("tablet", 800, 1100), ("desktop", 1400, 1000)] {
            for scheme in ["light", "dark"] {
                self.browser.look_as(width, height, scheme);
                // Until charts are as wide as their boxes, and a second is drawn in these colours.
                self.browser.run("document.activeElement.blur(); window.secondsShown = []");
                self.browser.wait_until("secondsShown.length >= 1", LIMIT);
                let over = self.browser.run(
                    "const all = document.documentElement;
                    const isWide = (e) => e.getBoundingClientRect().right > all.clientWidth + 1 && !e.closest('.scroll, .skip');
                    return [all.scrollWidth - all.clientWidth, [...document.querySelectorAll('body *')].filter(isWide).map((e) => e.outerHTML.slice(0, 100))]",
                );
                assert_eq!(over, json!([0, []]), "{name}");
                self.browser.picture(&pictures().join(format!("{name}-{scheme}.png")));
            }
        }
    }

    /// A snapshot with five fen too many is shown by the page's own means.
    fn a_false_sum_is_red(&self) {
        let look = |snapshot: &Value| {
            self.browser.settle(&format!(
                "import('/page/main.js').then(({{ show }}) => {{ show({snapshot}); const sign = document.querySelector('#books-sign');
                return [sign.className, sign.textContent, getComputedStyle(sign).color, getComputedStyle(sign.firstChild).transform,
                    document.querySelector('#books-more').textContent]; }})"
            ))
        };
        self.browser.run("document.querySelector('#hold').click()");
        let second = self.browser.run("return Number(document.body.dataset.second)");
        let mut snapshot = self.snapshot(second.as_u64().expect("a second"));
        let good = look(&snapshot);
        assert_eq!((&good[0], &good[1]), (&json!("sign good"), &json!("balanced")));
        let money = &mut snapshot["status"]["money"];
        money["balanced"] = json!(false);
        money["users_fen"] = json!(money["users_fen"].as_i64().expect("a number") + 5);
        let bad = look(&snapshot);
        assert_eq!((&bad[0], &bad[1]), (&json!("sign bad"), &json!("not balanced")));
        assert_eq!(bad[4], "issued, less all that is held: −5\u{202f}fen");
        assert!(good[2] != bad[2] && good[3] != bad[3], "another colour, and another shape: {good} {bad}");
        self.browser.picture(&pictures().join("false-sum.png"));
        self.browser.run("document.querySelector('#hold').click()");
    }

    fn nothing_was_refused_and_nothing_came_from_elsewhere(&self) {
        assert_eq!(self.browser.run("return refused"), json!([]), "by the policy");
        let said: Vec<Value> = self.browser.logs("browser");
        assert_eq!(said, Vec::<Value>::new(), "on the console");
        let own = self.door.url("/");
        let without_token = |url: String| url.replace(&format!("operator:{TOKEN}@"), "");
        let requests: Vec<String> = self.browser.requests().into_iter().map(without_token).collect();
        assert!(requests.iter().any(|url| url.ends_with("/page/main.js")), "{requests:?}");
        // The browser's own first page is of its own files, which no other page can ask for.
        let is_inside = |url: &String| ["chrome:", "data:"].iter().any(|scheme| url.starts_with(scheme));
        let others: Vec<_> = requests.iter().filter(|url| !url.starts_with(&own) && !is_inside(url)).collect();
        assert_eq!(others, Vec::<&String>::new());
    }

    fn a_lost_line_is_said_and_taken_up_again(&self) {
        self.door.cut();
        self.browser
            .wait_until("document.querySelector('#link-text').textContent.startsWith('connection lost for 3')", LIMIT);
        assert_eq!(self.browser.run("return document.querySelector('#link').className"), "sign bad");
        let silent = self.browser.run("return Number(document.body.dataset.second)");
        self.browser.picture(&pictures().join("lost.png"));
        self.door.mend();
        self.browser.wait_until("document.body.dataset.link === 'live'", LIMIT);
        let shown = self.browser.run(FIELDS);
        assert_shows(&shown, &self.snapshot(shown["second"].as_u64().expect("a second")));
        // What came meanwhile is there, too: the mark goes back through every second of it.
        self.browser.run("document.querySelector('.plot').focus()");
        self.browser.press(&HOME.to_string());
        let seconds = self.browser.settle(
            "import(location.origin + '/page/chart.js').then(({ charts }) => charts[0].rows.map((row) => row.second))",
        );
        let seconds: Vec<u64> = seconds.as_array().expect("a list").iter().filter_map(Value::as_u64).collect();
        let since: Vec<u64> = seconds.into_iter().filter(|second| Some(*second) >= silent.as_u64()).collect();
        assert!(since.len() > 3, "{since:?}");
        self.are_all_seconds(&since);
    }
}

fn pictures() -> PathBuf {
    target_dir().join("page")
}

/// Every figure of the page is that of the snapshot, to the last digit.
fn assert_shows(shown: &Value, snapshot: &Value) {
    let fields = shown["fields"].as_array().expect("a list");
    assert!(fields.len() > 400, "{} figures", fields.len());
    for field in fields {
        let [path, way, text] = [0, 1, 2].map(|index| field[index].as_str().expect("text"));
        assert_eq!(text, figures::write(figures::at(snapshot, path), way), "{path} in second {}", shown["second"]);
    }
    let money = &snapshot["status"]["money"];
    let fen = |name: &str| money[name].as_i64().expect("a number");
    let held = fen("users_fen") + fen("packets_fen") + fen("campaign_fen") + fen("transit_fen");
    assert_eq!(shown["held"], figures::count(held));
    let dropped = snapshot["rates"]["dropped"].as_object().expect("reasons").values();
    assert_eq!(shown["dropped"], figures::rate(dropped.filter_map(Value::as_f64).sum()));
    let of_day = shown["second"].as_u64().expect("a second") % 86_400;
    assert_eq!(shown["clock"], format!("{:02}:{:02}:{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60));
    assert_eq!((&money["balanced"], &shown["sign"]), (&json!(true), &json!("sign good")), "{money}");
}
