//! The grammar of operators' keys.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with signing keys: those of this machine, and what is signed about them for hosts.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make a key; its secret never leaves this machine, or its token
    New {
        /// Name, as in ann
        name: String,
        #[command(flatten)]
        token: TokenArgs,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Take a key that is in a token already
    Add {
        /// Name on this machine, as in ann
        name: String,
        /// The library that talks to the token
        #[arg(long, value_name = "MODULE")]
        pkcs11: PathBuf,
        /// The token's label
        #[arg(long, value_name = "LABEL")]
        token: String,
        /// The key's label in the token, when it is not NAME
        #[arg(long, value_name = "LABEL")]
        object: Option<String>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// List the keys of this machine
    List,
    /// Show a key's public half, as a host's policy lists it
    Show {
        /// Name, as listed
        name: String,
    },
    /// Have another key take a key's place on hosts that allow it; what is signed is shown first
    #[command(
        after_help = "The new key is signed by the old one and by itself; for a key of tier 3 somebody else adds a signature:\n  \
                      tidemark key sign STATEMENT --key bob\n\
                      Hosts follow it whose policy.toml has `rotation = true` under `[keys]`."
    )]
    Rotate(RotateArgs),
    /// Have hosts not believe a key any more; what is signed is shown first
    Revoke(RevokeKeyArgs),
    /// Add a signature to a rotation that waits for one; what is signed is shown first
    Sign {
        /// The statement's id, as `get key-statements` lists it
        #[arg(value_name = "STATEMENT")]
        id: String,
        /// Key of this machine to sign with
        #[arg(long, value_name = "NAME")]
        key: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
}

/// How to rotate.
#[derive(Clone, Debug, clap::Args)]
pub struct RotateArgs {
    /// Key of this machine that steps back
    pub name: String,
    /// Key of this machine that takes its place; made when it is not there [default: the name with the next number]
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,
    /// The most disruptive tier that the new key may sign, 0 to 3; never more than the old one on each host
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=3))]
    pub tier_max: u8,
    /// Why; it is signed and kept
    #[arg(long, default_value = "rotated")]
    pub reason: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
    /// Read the new key's passphrase or PIN from this file instead of asking
    #[arg(long, value_name = "FILE")]
    pub new_passphrase_file: Option<PathBuf>,
}

/// How to revoke.
#[derive(Clone, Debug, clap::Args)]
pub struct RevokeKeyArgs {
    /// Name of a key of this machine, name or id of one that hosts list, or ed25519:...
    #[arg(value_name = "NAME|PUBLIC")]
    pub key: String,
    /// Key of this machine to sign with: that key itself, or one that may sign as much
    #[arg(long = "key", value_name = "NAME")]
    pub signer: String,
    /// Why; it is signed, kept and shown wherever the key is refused
    #[arg(long)]
    pub reason: String,
    /// Since when others may have had it, as in 2d or 2026-11-20T10:00:00Z: keys that took its place before that stay
    #[arg(long, value_name = "WHEN")]
    pub since: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub passphrase: PassphraseArgs,
}

/// Which token.
#[derive(Clone, Debug, clap::Args)]
pub struct TokenArgs {
    /// Make it in a token: the library that talks to it, as in /usr/lib/softhsm/libsofthsm2.so
    #[arg(long, value_name = "MODULE", requires = "token")]
    pub pkcs11: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", requires = "pkcs11")]
    pub token: Option<String>,
}

/// Where the passphrase or PIN comes from.
#[derive(Clone, Debug, clap::Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from this file instead of asking
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Read a token's PIN from this file instead of asking, or from TIDEMARK_PIN
    #[arg(long, value_name = "FILE")]
    pub pin_file: Option<PathBuf>,
}
