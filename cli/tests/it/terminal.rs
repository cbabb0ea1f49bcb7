//! On a terminal: colours, charts, and `top` with its keys, on a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use tokio::time::Instant;

use crate::controller::Controller;

/// `tidemark` on a terminal of 130 x 40.
struct Session {
    child: Child,
    keyboard: File,
    screen: String,
}

impl Drop for Session {
    fn drop(&mut self) {
        // A failed test must not leave it running.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Session {
    fn start(controller: &Controller, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(
            name,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        tcsetwinsize(
            &slave,
            Winsize {
                ws_row: 40,
                ws_col: 130,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )
        .unwrap();
        let end = |slave: &OwnedFd| Stdio::from(slave.try_clone().unwrap());
        let child = controller
            .command(arguments)
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied())
            .stdin(end(&slave))
            .stdout(end(&slave))
            .stderr(end(&slave))
            .spawn()
            .unwrap();
        Self {
            child,
            keyboard: File::from(master),
            screen: String::new(),
        }
    }

    /// Reads until `text` was written; fails when the program ends before.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.screen.contains(text) {
            assert!(
                self.read(deadline),
                "it ended without {text:?}: {}",
                self.screen
            );
        }
    }

    /// Reads what comes; whether anything can still come.
    fn read(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut readable = [PollFd::new(&self.keyboard, PollFlags::IN)];
        let readable = poll(&mut readable, Some(&left.try_into().unwrap())).unwrap();
        assert!(readable > 0, "too slow: {:?}", self.screen);
        let mut bytes = [0; 4096];
        // Linux ends reading with EIO when the other side is closed.
        let count = self.keyboard.read(&mut bytes).unwrap_or(0);
        self.screen
            .push_str(&String::from_utf8_lossy(&bytes[..count]));
        count > 0
    }

    fn press(&mut self, keys: &str) {
        self.screen.clear();
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// What else is written until the end, and the exit code.
    fn finish(mut self) -> (String, Option<i32>) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.read(deadline) {}
        let code = self.child.wait().unwrap().code();
        (std::mem::take(&mut self.screen), code)
    }
}

#[test]
fn a_terminal_gets_colours_unless_they_are_not_wanted() {
    let controller = Controller::start();
    let get = ["get", "hosts"];
    let plain = ["get", "hosts", "--no-color"];
    for (arguments, environment, colours) in [
        (&get[..], &[][..], true),
        (&get, &[("NO_COLOR", "1")], false),
        (&get, &[("NO_COLOR", "")], true),
        (&get, &[("TERM", "dumb")], false),
        (&plain, &[], false),
    ] {
        let (screen, code) = Session::start(&controller, arguments, environment).finish();
        assert_eq!(code, Some(0));
        assert_eq!(
            screen.contains("\u{1b}["),
            colours,
            "{environment:?} {arguments:?}: {screen:?}"
        );
        assert!(
            screen.contains("in 2 h 10 min (1 h 50 min to 3 h)"),
            "{screen}"
        );
        assert!(
            !screen.contains("\u{1b}[2J") && !screen.contains('\u{202e}'),
            "names act: {screen:?}"
        );
    }
}

#[test]
fn no_format_lets_a_name_act_on_the_terminal() {
    let controller = Controller::start();
    for format in ["table", "json", "yaml", "csv"] {
        let (screen, code) = Session::start(
            &controller,
            &["get", "hosts", "--no-color", "-o", format],
            &[],
        )
        .finish();
        assert_eq!(code, Some(0));
        assert!(
            !screen.contains('\u{1b}') && !screen.contains('\u{202e}'),
            "{format}: {screen:?}"
        );
    }
}

#[test]
fn history_and_forecast_are_drawn_on_a_terminal() {
    let controller = Controller::start();
    for command in ["history", "forecast"] {
        let (screen, code) = Session::start(&controller, &[command, "web-1"], &[]).finish();
        assert_eq!(code, Some(0));
        assert!(
            screen.contains("capacity 28232") && screen.contains('⠤'),
            "{screen}"
        );
    }
}

#[test]
fn top_shows_the_fleet_live_and_a_host_closely_and_gives_the_screen_back() {
    let controller = Controller::start();
    let mut session = Session::start(&controller, &["top"], &[]);
    session.wait_for("web-1");
    // The stream says that its ports rose to 27,777: 98 %.
    session.wait_for("98");
    session.wait_for("this is news");
    session.press("\r");
    session.wait_for("mailer.service");
    session.press("\u{1b}");
    session.wait_for("CULPRIT");
    session.press("/db");
    session.wait_for("keeps");
    session.press("\rq");
    let (screen, code) = session.finish();
    assert_eq!(code, Some(0));
    assert!(
        screen.contains("\u{1b}[?1049l"),
        "the screen is given back: {screen:?}"
    );
}

#[test]
fn a_typed_token_is_not_shown() {
    let controller = Controller::start();
    let url = controller.url();
    let mut session = Session::start(&controller, &["login", "--server", &url], &[]);
    session.wait_for("API token: ");
    session.press("good\r");
    let (screen, code) = session.finish();
    assert_eq!(code, Some(0), "{screen}");
    assert!(
        !screen.contains("good") && screen.contains("logged in"),
        "{screen}"
    );
}

#[test]
fn revoking_asks_and_takes_no_for_an_answer() {
    let controller = Controller::start();
    let mut session = Session::start(&controller, &["revoke", "host", "web-1", "db-1"], &[]);
    session.wait_for("Shut out web-1, db-1 for good?");
    session.press("n\r");
    let (screen, code) = session.finish();
    assert_eq!(code, Some(0));
    assert!(screen.contains("nothing was done"), "{screen}");
    assert!(
        controller
            .requests()
            .iter()
            .all(|request| !request.starts_with("POST"))
    );
}
