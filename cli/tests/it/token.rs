//! Keys in a real token, which SoftHSM plays: made, added, signed with, and everything that a token can say against it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tidemark_model::signing::{PublicKey, Purpose};

use crate::controller::{Controller, Finished, finished};
use crate::remediation::{ACTION, order_bytes, signature_of};

const PIN: &str = "4711-4711";

/// Where distributions put it.
fn module() -> String {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    ];
    let found = places.iter().find(|place| Path::new(place).is_file());
    (*found.expect("SoftHSM 2; install softhsm2, as tests/run does")).to_owned()
}

/// A token labelled `ops` in a folder of its own.
struct Token {
    controller: Controller,
    conf: PathBuf,
}

impl Token {
    fn new() -> Self {
        let controller = Controller::start();
        let folder = controller.home.path().join("tokens");
        std::fs::create_dir(&folder).unwrap();
        let conf = controller.home.path().join("softhsm.conf");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\n",
            folder.display()
        );
        std::fs::write(&conf, text).unwrap();
        let made = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "ops", "--pin", PIN])
            .args(["--so-pin", "8-8-8-8"])
            .env("SOFTHSM2_CONF", &conf)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self { controller, conf }
    }

    /// `tidemark` on the token's machine, with that PIN in the environment.
    fn run(&self, words: &[&str], pin: Option<&str>) -> Finished {
        let mut command = self.controller.command(words);
        command.env("SOFTHSM2_CONF", &self.conf);
        if let Some(pin) = pin {
            command.env("TIDEMARK_PIN", pin);
        }
        finished(command.output().unwrap())
    }

    fn done(&self, words: &[&str]) -> Value {
        let done = self.run(&[words, &["-o", "json"]].concat(), Some(PIN));
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        // What is signed is shown before the answer.
        let (_, json) = done.stdout.split_once('{').unwrap();
        serde_json::from_str(&format!("{{{json}")).unwrap()
    }

    fn make(&self, name: &str) -> PublicKey {
        let module = module();
        let made = self.done(&["key", "new", name, "--pkcs11", &module, "--token", "ops"]);
        made["public"].as_str().unwrap().parse().unwrap()
    }

    #[track_caller]
    fn refuses(&self, words: &[&str], pin: Option<&str>, says: &str) {
        let done = self.run(words, pin);
        assert_ne!(done.code, Some(0), "{}", done.stdout);
        assert!(done.stderr.contains(says), "{}", done.stderr);
    }
}

#[test]
fn a_key_in_a_token_signs_as_one_in_a_file_does() {
    let token = Token::new();
    let public = token.make("ann");
    let signed = token.done(&["action", "sign", ACTION, "--key", "ann", "--yes"]);
    let said = serde_json::from_str(signed["summary"].as_str().unwrap()).unwrap();
    let (id, signature) = signature_of(&said);
    assert_eq!(id, public.id());
    public
        .verify(Purpose::Order, &order_bytes(), &signature)
        .unwrap();
    // What is kept on this machine can sign nothing.
    let file = token.controller.home.path().join("keys/ann.key");
    let kept: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut fields: Vec<_> = kept.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "module",
            "name",
            "object",
            "public",
            "tidemark_token_key",
            "token"
        ]
    );
}

#[test]
fn a_key_that_is_in_the_token_already_is_taken_under_another_name() {
    let token = Token::new();
    let (public, module) = (token.make("ann"), module());
    let place = ["--pkcs11", &module, "--token", "ops"];
    let add = [&["key", "add", "duty", "--object", "ann"][..], &place].concat();
    let added = token.done(&add);
    assert_eq!(added["public"].as_str().unwrap(), public.to_string());
    let new = [&["key", "new", "ann"][..], &place].concat();
    token.refuses(&new, Some(PIN), "there is a key ann already");
    let other = [&["key", "add", "eve"][..], &place].concat();
    token.refuses(&other, Some(PIN), "has no ed25519 key labelled \"eve\"");
    std::fs::remove_file(token.controller.home.path().join("keys/ann.key")).unwrap();
    token.refuses(&new, Some(PIN), "`tidemark key add` takes it");
}

#[test]
fn what_a_token_says_against_it_is_told_with_what_to_do() {
    let token = Token::new();
    token.make("ann");
    let module = module();
    let new = |module: &str, label: &str, pin, says: &str| {
        let words = ["key", "new", "bob", "--pkcs11", module, "--token", label];
        token.refuses(&words, pin, says);
    };
    new(
        "/nowhere/none.so",
        "ops",
        Some(PIN),
        "give the library that came with the token",
    );
    new("/proc/self/exe", "ops", Some(PIN), "is no PKCS#11 module");
    new(&module, "other", Some(PIN), "there is no token \"other\"");
    new(&module, "other", Some(PIN), "\"ops\"");
    new(
        &module,
        "ops",
        Some("0000"),
        "the PIN of the token \"ops\" is wrong",
    );
    new(&module, "ops", None, "give --pin-file or TIDEMARK_PIN");
    let sign = ["action", "sign", ACTION, "--key", "ann", "--yes"];
    token.refuses(
        &sign,
        Some("0000"),
        "is wrong; a few wrong ones in a row lock it",
    );
    let asked = token.controller.requests();
    let is_post = |one: &String| one.starts_with("POST");
    assert!(!asked.iter().any(is_post), "{asked:?}");
}

#[test]
fn another_key_under_the_same_label_signs_nothing() {
    let token = Token::new();
    token.make("ann");
    let file = token.controller.home.path().join("keys/ann.key");
    let text = std::fs::read_to_string(&file).unwrap();
    let public = token.make("bob").to_string();
    let mut kept: Value = serde_json::from_str(&text).unwrap();
    kept["public"] = Value::from(public);
    std::fs::write(&file, kept.to_string()).unwrap();
    let sign = ["action", "sign", ACTION, "--key", "ann", "--yes"];
    token.refuses(
        &sign,
        Some(PIN),
        "is another one than was added; nothing was signed",
    );
}

#[test]
fn a_pin_is_read_from_a_file() {
    let token = Token::new();
    let file = token.controller.home.path().join("pin");
    std::fs::write(&file, format!("{PIN}\n")).unwrap();
    let (module, file) = (module(), file.display().to_string());
    let made = token.run(
        &[
            "key",
            "new",
            "ann",
            "--pkcs11",
            &module,
            "--token",
            "ops",
            "--pin-file",
            &file,
        ],
        None,
    );
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let listed = token.run(&["key", "list"], None);
    assert!(listed.stdout.contains("token ops"), "{}", listed.stdout);
}
