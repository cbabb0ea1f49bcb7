//! Keys that live in a token and never leave it: found and made over PKCS#11, asked to sign. On this machine there is only
//! the token's name and the key's public half.

use std::path::PathBuf;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use serde::{Deserialize, Serialize};
use tidemark_model::Secret;
use tidemark_model::signing::{PublicKey, Purpose, Signature, signed_text};

use super::KeyError;

/// Form of the file.
const FORM: u32 = 1;
/// Names of the curve, as tokens take them: its object identifier, and the text that older ones want.
const CURVE_OID: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const CURVE_TEXT: &[u8] = b"\x13\x0cedwards25519";

/// Which token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPlace {
    /// The library that talks to it.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
}

/// A key in a token, as this machine remembers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenKey {
    tidemark_token_key: u32,
    /// Its name.
    pub name: String,
    /// The key that hosts are told.
    pub public: PublicKey,
    /// The library that talks to the token.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The label of the key in it.
    pub object: String,
}

/// An open key in a token.
pub struct TokenSigner {
    session: Session,
    private: ObjectHandle,
    public: PublicKey,
    place: TokenPlace,
}

/// What can go wrong with a token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The library.
    #[error(
        "{} is no PKCS#11 module that can be loaded: {reason}; give the library that came with the token, as in \
         /usr/lib/softhsm/libsofthsm2.so",
        module.display()
    )]
    Module {
        /// Which.
        module: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The token.
    #[error("there is no token {token:?}; is it plugged in? There {there}")]
    NoToken {
        /// Its label.
        token: String,
        /// Which there are.
        there: String,
    },
    /// The mechanism.
    #[error(
        "the token {0:?} has no EdDSA (CKM_EDDSA) and so no ed25519 keys; take one that has, or a key in a file: `tidemark key \
         new NAME`"
    )]
    NoEddsa(String),
    /// The key.
    #[error(
        "the token {token:?} has no ed25519 key labelled {object:?}; `tidemark key new {object} --pkcs11 MODULE --token \
         {token}` makes one, --object names another"
    )]
    NoKey {
        /// Its label.
        token: String,
        /// The key's label.
        object: String,
    },
    /// Two keys under one label.
    #[error(
        "the token {token:?} has {count} keys labelled {object:?}; give the one that is meant a label of its own"
    )]
    ManyKeys {
        /// Its label.
        token: String,
        /// The keys' label.
        object: String,
        /// How many.
        count: usize,
    },
    /// A key under that label is there.
    #[error(
        "the token {token:?} has a key labelled {object:?} already; `tidemark key add` takes it, or choose another name"
    )]
    KeyExists {
        /// Its label.
        token: String,
        /// The key's label.
        object: String,
    },
    /// The PIN.
    #[error("the PIN of the token {0:?} is wrong; a few wrong ones in a row lock it")]
    WrongPin(String),
    /// Too many wrong PINs.
    #[error(
        "the token {0:?} is locked after too many wrong PINs; its security officer can set a new one with the token's own tool"
    )]
    Locked(String),
    /// No PIN was ever set.
    #[error("the token {0:?} has no PIN yet; set one with the token's own tool")]
    NoPin(String),
    /// The key was exchanged.
    #[error(
        "the key labelled {object:?} in the token {token:?} is another one than was added; nothing was signed"
    )]
    OtherKey {
        /// Its label.
        token: String,
        /// The key's label.
        object: String,
    },
    /// The signature does not match.
    #[error("what the token {0:?} answered is no ed25519 signature of its key")]
    WrongAnswer(String),
    /// Anything else.
    #[error("the token {token:?} says: {source}")]
    Token {
        /// Its label.
        token: String,
        /// What it says.
        #[source]
        source: Error,
    },
}

/// What is done with the token.
enum Open {
    /// Look and sign.
    ToUse,
    /// Make a key.
    ToMake,
}

impl TokenKey {
    /// Makes a key in a token, labelled `name`.
    ///
    /// # Errors
    /// [`KeyError`]; then there is none.
    pub fn make(name: &str, place: TokenPlace, pin: &Secret<String>) -> Result<Self, KeyError> {
        super::check_name(name)?;
        let session = log_in(&place, pin, &Open::ToMake)?;
        if !find(&session, &place, (name, ObjectClass::PRIVATE_KEY))?.is_empty() {
            return Err(TokenError::KeyExists {
                token: place.token,
                object: name.to_owned(),
            }
            .into());
        }
        generate(&session, name).map_err(|source| token_error(&place, source))?;
        let (_, public) = find_pair(&session, &place, name)?;
        Ok(Self::of(name, name, (place, public)))
    }

    /// Takes a key that is in a token under that label.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn add(
        name: &str,
        object: &str,
        place: TokenPlace,
        pin: &Secret<String>,
    ) -> Result<Self, KeyError> {
        super::check_name(name)?;
        let session = log_in(&place, pin, &Open::ToUse)?;
        let (_, public) = find_pair(&session, &place, object)?;
        Ok(Self::of(name, object, (place, public)))
    }

    fn of(name: &str, object: &str, (place, public): (TokenPlace, PublicKey)) -> Self {
        Self {
            tidemark_token_key: FORM,
            name: name.to_owned(),
            public,
            module: place.module,
            token: place.token,
            object: object.to_owned(),
        }
    }

    /// Whether this build reads this form of the file.
    pub(super) const fn is_of_this_form(&self) -> bool {
        self.tidemark_token_key == FORM
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn open(&self, pin: &Secret<String>) -> Result<TokenSigner, KeyError> {
        let place = TokenPlace {
            module: self.module.clone(),
            token: self.token.clone(),
        };
        let session = log_in(&place, pin, &Open::ToUse)?;
        let (private, public) = find_pair(&session, &place, &self.object)?;
        if public != self.public {
            return Err(TokenError::OtherKey {
                token: place.token,
                object: self.object.clone(),
            }
            .into());
        }
        Ok(TokenSigner {
            session,
            private,
            public,
            place,
        })
    }
}

impl TokenSigner {
    /// Has the token sign `bytes` for `purpose`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn sign(&self, purpose: Purpose, bytes: &[u8]) -> Result<Signature, KeyError> {
        let mechanism = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
        let text = signed_text(purpose, bytes);
        let signed = self.session.sign(&mechanism, self.private, &text);
        let signed = signed.map_err(|source| token_error(&self.place, source))?;
        let wrong = || TokenError::WrongAnswer(self.place.token.clone());
        let signature = Signature {
            key: self.public.id(),
            bytes: signed.try_into().map_err(|_| wrong())?,
        };
        // A token that errs is known here, not on a host at night.
        self.public
            .verify(purpose, bytes, &signature)
            .map_err(|_| wrong())?;
        Ok(signature)
    }
}

fn log_in(place: &TokenPlace, pin: &Secret<String>, open: &Open) -> Result<Session, TokenError> {
    let unloadable = |error: &Error| TokenError::Module {
        module: place.module.clone(),
        reason: error.to_string(),
    };
    let module = Pkcs11::new(&place.module).map_err(|error| unloadable(&error))?;
    module
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(|error| unloadable(&error))?;
    let slot = slot_of(&module, place)?;
    let failed = |source| token_error(place, source);
    let mechanisms = module.get_mechanism_list(slot).map_err(failed)?;
    if !mechanisms.contains(&MechanismType::EDDSA) {
        return Err(TokenError::NoEddsa(place.token.clone()));
    }
    if module
        .get_token_info(slot)
        .map_err(failed)?
        .user_pin_locked()
    {
        return Err(TokenError::Locked(place.token.clone()));
    }
    let session = match open {
        Open::ToUse => module.open_ro_session(slot),
        Open::ToMake => module.open_rw_session(slot),
    };
    let session = session.map_err(failed)?;
    let pin = AuthPin::from(pin.expose().clone());
    session.login(UserType::User, Some(&pin)).map_err(failed)?;
    Ok(session)
}

fn slot_of(module: &Pkcs11, place: &TokenPlace) -> Result<Slot, TokenError> {
    let failed = |source| token_error(place, source);
    let mut labels = Vec::new();
    for slot in module.get_slots_with_token().map_err(failed)? {
        let info = module.get_token_info(slot).map_err(failed)?;
        let label = info.label().trim_end().to_owned();
        if label == place.token {
            return Ok(slot);
        }
        if info.token_initialized() {
            labels.push(format!("{label:?}"));
        }
    }
    Err(TokenError::NoToken {
        token: place.token.clone(),
        there: if labels.is_empty() {
            "is none".to_owned()
        } else {
            format!("are {}", labels.join(", "))
        },
    })
}

fn find(
    session: &Session,
    place: &TokenPlace,
    (object, class): (&str, ObjectClass),
) -> Result<Vec<ObjectHandle>, TokenError> {
    let template = [
        Attribute::Class(class),
        Attribute::KeyType(KeyType::EC_EDWARDS),
        Attribute::Label(object.as_bytes().to_vec()),
    ];
    session
        .find_objects(&template)
        .map_err(|source| token_error(place, source))
}

/// The two halves of the key under that label.
fn find_pair(
    session: &Session,
    place: &TokenPlace,
    object: &str,
) -> Result<(ObjectHandle, PublicKey), TokenError> {
    let no_key = || TokenError::NoKey {
        token: place.token.clone(),
        object: object.to_owned(),
    };
    let one = |class| match find(session, place, (object, class))?.as_slice() {
        [] => Err(no_key()),
        [one] => Ok(*one),
        many => Err(TokenError::ManyKeys {
            token: place.token.clone(),
            object: object.to_owned(),
            count: many.len(),
        }),
    };
    let private = one(ObjectClass::PRIVATE_KEY)?;
    let public = one(ObjectClass::PUBLIC_KEY)?;
    let attributes = session
        .get_attributes(public, &[AttributeType::EcPoint])
        .map_err(|source| token_error(place, source))?;
    let point = attributes.iter().find_map(|attribute| {
        let Attribute::EcPoint(point) = attribute else {
            return None;
        };
        point_of(point)
    });
    // A key of another Edwards curve has a longer point.
    Ok((private, point.ok_or_else(no_key)?))
}

/// Tokens give the point bare, as an octet string, or as a bit string.
fn point_of(encoded: &[u8]) -> Option<PublicKey> {
    let bare = encoded
        .strip_prefix(&[0x04, 0x20])
        .or_else(|| encoded.strip_prefix(&[0x03, 0x21, 0x00]))
        .filter(|bare| bare.len() == 32)
        .unwrap_or(encoded);
    PublicKey::from_bytes(bare.try_into().ok()?).ok()
}

fn generate(session: &Session, name: &str) -> Result<(), Error> {
    let label = || Attribute::Label(name.as_bytes().to_vec());
    let private = [
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        label(),
        Attribute::Id(name.as_bytes().to_vec()),
    ];
    let with_curve = |curve: &[u8]| {
        let public = [
            Attribute::Token(true),
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(curve.to_vec()),
            label(),
            Attribute::Id(name.as_bytes().to_vec()),
        ];
        session.generate_key_pair(&Mechanism::EccEdwardsKeyPairGen, &public, &private)
    };
    with_curve(CURVE_OID)
        .or_else(|_| with_curve(CURVE_TEXT))
        .map(drop)
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a token has a hundred other answers, which are told as they are"
)]
fn token_error(place: &TokenPlace, source: Error) -> TokenError {
    let token = place.token.clone();
    let Error::Pkcs11(said, _) = &source else {
        return TokenError::Token { token, source };
    };
    match said {
        RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid => {
            TokenError::WrongPin(token)
        }
        RvError::PinLocked => TokenError::Locked(token),
        RvError::UserPinNotInitialized => TokenError::NoPin(token),
        RvError::MechanismInvalid => TokenError::NoEddsa(token),
        _ => TokenError::Token { token, source },
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;
    use tidemark_model::signing::PrivateKey;

    use super::*;

    #[test]
    fn the_public_half_is_read_in_each_form_that_tokens_give_it() {
        let public = PrivateKey::from_seed([7; 32]).public();
        let bare = public.as_bytes().as_slice();
        for encoded in [
            bare.to_vec(),
            [&[0x04, 0x20], bare].concat(),
            [&[0x03, 0x21, 0x00], bare].concat(),
        ] {
            assert_eq!(point_of(&encoded), Some(public));
        }
        assert_eq!(point_of(&[0x04, 0x20]), None);
        assert_eq!(point_of(&[1; 57]), None, "another curve");
    }

    #[test]
    fn what_a_token_says_of_its_pin_is_told_with_what_to_do() {
        let place = TokenPlace {
            module: "x.so".into(),
            token: "ops".to_owned(),
        };
        let told = |said| {
            let error = token_error(&place, Error::Pkcs11(said, Function::Login));
            error.to_string()
        };
        assert!(told(RvError::PinIncorrect).contains("is wrong"));
        assert!(told(RvError::PinLocked).contains("security officer"));
        assert!(told(RvError::UserPinNotInitialized).contains("has no PIN yet"));
        assert!(told(RvError::MechanismInvalid).contains("has no EdDSA"));
        assert!(told(RvError::DeviceRemoved).starts_with("the token \"ops\" says"));
    }
}
