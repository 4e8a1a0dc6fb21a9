//! An origin's API key sealed for the configuration file, so that tenants and keys change
//! with the file while the host program's environment stays as it is.
//!
//! `v1:KEY_ID:BASE64URL`
//!
//! | part | what it is |
//! | --- | --- |
//! | `v1` | the version: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) |
//! | `KEY_ID` | which sealing key: 1 to 32 letters, digits, `-` and `_` |
//! | `BASE64URL` | 24 bytes of nonce, the ciphertext, 16 bytes of tag, in base64url without padding |
//!
//! The associated data is `v1:KEY_ID:HOST` in ASCII, where `HOST` is the custom domain as the edge
//! compares it. None of the three can hold a colon, so that no two of them read the same. A text that is
//! copied to another custom domain, or given another key id, does not open.
//!
//! The nonce is drawn at random for each text. At 192 bits no two of them are ever the same, so that whoever
//! seals has to remember nothing; with the 96 bits of ChaCha20-Poly1305 or AES-GCM that would be a matter of
//! how many texts there are. The core draws nothing: the nonce is an argument.
//!
//! Not hidden: the length of the API key, and which texts one sealing key is for. Not prevented: that an
//! older text of the same custom domain takes the place of a newer one. Nothing is wiped from memory: the
//! host program's environment holds the sealing keys as long as it runs.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use crate::host_name::HostName;
use crate::secret::{InvalidSecret, Secret};

/// The longest API key that is sealed, in bytes: what servers commonly take in all header fields
/// together is twice that.
pub const MAX_SECRET_BYTES: usize = 4096;
/// The length of a sealing key, in bytes.
pub const SEALING_KEY_BYTES: usize = 32;
/// The length of a nonce, in bytes.
pub const NONCE_BYTES: usize = 24;

/// The version of the format.
const VERSION: &str = "v1";
/// The length of Poly1305's tag, in bytes (RFC 8439 section 2.5).
const TAG_BYTES: usize = 16;
/// The longest third part of a sealed text: so many digits of 6 bits hold nonce, API key and tag, and no more.
const MAX_DIGITS: usize = ((NONCE_BYTES + MAX_SECRET_BYTES + TAG_BYTES) * 4).div_ceil(3);
/// The longest key id, in bytes.
const MAX_KEY_ID_BYTES: usize = 32;
/// The length of a sealing key as text: 43 digits of 6 bits hold 32 bytes.
const SEALING_KEY_DIGITS: usize = 43;

/// The name of a sealing key, which is nothing secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyId(String);

/// The text is no key id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidKeyId;

/// The key that API keys are sealed under; shown by nothing.
pub struct SealingKey([u8; SEALING_KEY_BYTES]);

/// The text is no sealing key; says nothing of the text itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidSealingKey(&'static str);

/// An API key that is sealed. `Debug` prints its key id alone.
#[derive(Clone)]
pub struct Sealed {
    key_id: KeyId,
    nonce: [u8; NONCE_BYTES],
    /// The ciphertext, and the tag behind it.
    ciphertext: Vec<u8>,
}

/// The text is no sealed API key. It can be an API key in the wrong place, so this says nothing of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InvalidSealed(&'static str);

/// A sealed text holds nothing that can be used; says nothing of what it holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NotOpened {
    /// Another key sealed it, or for another host name, or it was changed since.
    NotAuthentic,
    /// It holds what cannot be an API key.
    NoSecret(InvalidSecret),
}

/// An API key of more than [`MAX_SECRET_BYTES`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLong;

/// Seals an API key for a custom domain; gives what stands under `sealed` in a configuration.
///
/// The nonce is drawn at random by the caller, anew for each text.
pub fn seal(
    key: &SealingKey,
    key_id: &KeyId,
    custom_domain: &HostName<'_>,
    secret: &Secret,
    nonce: [u8; NONCE_BYTES],
) -> Result<String, TooLong> {
    let msg = secret.expose().as_bytes();
    if msg.len() > MAX_SECRET_BYTES {
        return Err(TooLong);
    }
    let aad = &associated_data(key_id, custom_domain);
    let ciphertext = key.cipher().encrypt(&nonce.into(), Payload { msg, aad });
    let mut sealed = nonce.to_vec();
    // It fails on texts of 256 GiB and more alone (RFC 8439 section 2.8).
    sealed.extend(ciphertext.map_err(|_| TooLong)?);
    let sealed = URL_SAFE_NO_PAD.encode(sealed);
    Ok(format!("{VERSION}:{key_id}:{sealed}"))
}

impl Sealed {
    /// Under which key it has to be opened.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Opens what was sealed with this key for this custom domain.
    pub fn open(
        &self,
        key: &SealingKey,
        custom_domain: &HostName<'_>,
    ) -> Result<Secret, NotOpened> {
        let msg = self.ciphertext.as_slice();
        let aad = &associated_data(&self.key_id, custom_domain);
        let nonce = XNonce::from(self.nonce);
        let opened = key.cipher().decrypt(&nonce, Payload { msg, aad });
        let opened = opened.map_err(|_| NotOpened::NotAuthentic)?;
        // What is no UTF-8 becomes U+FFFD, which no header value holds either.
        let text = String::from_utf8_lossy(&opened).into_owned();
        Secret::new(text).map_err(NotOpened::NoSecret)
    }
}

fn associated_data(key_id: &KeyId, custom_domain: &HostName<'_>) -> Vec<u8> {
    format!("{VERSION}:{key_id}:{custom_domain}").into_bytes()
}

impl FromStr for Sealed {
    type Err = InvalidSealed;

    fn from_str(text: &str) -> Result<Self, InvalidSealed> {
        let mut parts = text.splitn(3, ':');
        let (Some(version), Some(key_id), Some(digits)) =
            (parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidSealed("no three parts with `:` between them"));
        };
        if version != VERSION {
            return Err(InvalidSealed("another version"));
        }
        let key_id = key_id
            .parse()
            .map_err(|InvalidKeyId| InvalidSealed("no key id"))?;
        if digits.len() > MAX_DIGITS {
            return Err(InvalidSealed("too many bytes"));
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(digits)
            .map_err(|_| InvalidSealed("no base64url in its third part"))?;
        let (nonce, ciphertext) = bytes
            .split_first_chunk()
            .filter(|(_, ciphertext)| ciphertext.len() > TAG_BYTES)
            .ok_or(InvalidSealed("too few bytes"))?;
        Ok(Self {
            key_id,
            nonce: *nonce,
            ciphertext: ciphertext.to_vec(),
        })
    }
}

impl SealingKey {
    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&self.0).into())
    }
}

impl FromStr for SealingKey {
    type Err = InvalidSealingKey;

    fn from_str(text: &str) -> Result<Self, InvalidSealingKey> {
        if text.len() != SEALING_KEY_DIGITS {
            return Err(InvalidSealingKey("another length"));
        }
        let no_digits = InvalidSealingKey("no base64url");
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| no_digits)?;
        bytes.try_into().map(Self).map_err(|_| no_digits)
    }
}

impl FromStr for KeyId {
    type Err = InvalidKeyId;

    fn from_str(text: &str) -> Result<Self, InvalidKeyId> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let fits = (1..=MAX_KEY_ID_BYTES).contains(&text.len()) && text.bytes().all(is_plain);
        fits.then(|| Self(text.to_owned())).ok_or(InvalidKeyId)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(..)")
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({}, ..)", self.key_id)
    }
}

impl fmt::Display for InvalidKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no key id of 1 to 32 letters, digits, `-` and `_`")
    }
}

impl fmt::Display for InvalidSealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for InvalidSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Display for NotOpened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAuthentic => f.write_str("not sealed so"),
            Self::NoSecret(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an API key of more than {MAX_SECRET_BYTES} bytes")
    }
}

impl core::error::Error for InvalidKeyId {}
impl core::error::Error for InvalidSealingKey {}
impl core::error::Error for InvalidSealed {}
impl core::error::Error for NotOpened {}
impl core::error::Error for TooLong {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString as _;

    /// The bytes 80 to 9f.
    const KEY: &str = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp8";
    const OTHER_KEY: &str = "gIGCg4SFhoeIiYqLjI2Oj5CRkpOUlZaXmJmam5ydnp4";

    /// What libsodium makes of it, asked by PyNaCl 1.6.2's
    /// `crypto_aead_xchacha20poly1305_ietf_encrypt` with the key above and the nonce 40 to 57: key id, custom
    /// domain, API key, and the sealed text.
    const KNOWN: [(&str, &str, &str, &str); 2] = [
        (
            "2026-11",
            "login.example.com",
            "test-only-api-key",
            "v1:2026-11:QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXhWkAgHafmjaCPxajn4P2MEtGYWO554Ynx2v_hFv0fvhq",
        ),
        (
            "next_KEY-2",
            "xn--bcher-kva.example",
            "a",
            "v1:next_KEY-2:QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXkLbqhDRzdCS5yu2vhejjCGA",
        ),
    ];

    /// Made in the same way for `2026-11` and `login.example.com`, of what is no header value: two lines, and
    /// the bytes ff fe.
    const NO_SECRETS: [&str; 2] = [
        "v1:2026-11:QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXhXsc_jeZmj-IAXDfy5ShigAb5yUfLVgbsQ",
        "v1:2026-11:QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXDvIMibYAC6XK8sBcPuJZ9c1i",
    ];

    fn nonce() -> [u8; NONCE_BYTES] {
        core::array::from_fn(|index| 0x40 + u8::try_from(index).unwrap())
    }

    fn key(text: &str) -> SealingKey {
        text.parse().unwrap()
    }

    fn name(text: &str) -> HostName<'_> {
        HostName::parse(text).unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_string()).unwrap()
    }

    fn open(text: &str, key_text: &str, host: &str) -> Result<Secret, NotOpened> {
        let sealed: Sealed = text.parse().unwrap();
        sealed.open(&key(key_text), &name(host))
    }

    #[test]
    fn what_another_implementation_sealed_opens_and_is_sealed_alike() {
        for (key_id, host, plain, text) in KNOWN {
            let key_id: KeyId = key_id.parse().unwrap();
            let sealed = seal(&key(KEY), &key_id, &name(host), &secret(plain), nonce());
            assert_eq!(sealed.unwrap(), text);
            assert_eq!(open(text, KEY, host).unwrap().expose(), plain);
            assert_eq!(*text.parse::<Sealed>().unwrap().key_id(), key_id);
        }
    }

    #[test]
    fn another_key_key_id_or_host_name_does_not_open() {
        let (_, host, _, text) = KNOWN[0];
        let of_another_id = text.replace("2026-11", "2026-12");
        let is_closed = |text: &str, key: &str, host: &str| {
            assert_eq!(open(text, key, host), Err(NotOpened::NotAuthentic));
        };
        is_closed(text, OTHER_KEY, host);
        is_closed(&of_another_id, KEY, host);
        is_closed(text, KEY, "login.example.org");
        is_closed(text, KEY, "mtls.login.example.com");
        // Written otherwise it is the same name.
        assert!(open(text, KEY, "LOGIN.example.com.").is_ok());
    }

    #[test]
    fn what_is_no_header_value_is_not_given_out() {
        for text in NO_SECRETS {
            let error = open(text, KEY, "login.example.com").unwrap_err();
            assert!(matches!(error, NotOpened::NoSecret(_)), "{error:?}");
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("a byte that cannot stand"), "{shown}");
        }
    }

    #[test]
    fn other_texts_are_no_sealed_keys_and_are_not_shown() {
        let too_many = "A".repeat(5516);
        let rows = [
            ("", "no three parts"),
            ("test-only-api-key", "no three parts"),
            ("v1:2026-11", "no three parts"),
            ("v2:2026-11:QUFB", "another version"),
            ("V1:2026-11:QUFB", "another version"),
            (":2026-11:QUFB", "another version"),
            ("v1::QUFB", "no key id"),
            ("v1:2026 11:QUFB", "no key id"),
            ("v1:2026-11:QUFB=", "no base64url"),
            ("v1:2026-11:QUF/", "no base64url"),
            ("v1:2026-11:QUFB:", "no base64url"),
            ("v1:2026-11:QUFB\n", "no base64url"),
            ("v1:2026-11:QUF", "no base64url"),
            ("v1:2026-11:", "too few bytes"),
            // A nonce and a tag around nothing.
            (
                "v1:2026-11:QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXlC9muvH4Auj2SCwS7ZPxig",
                "too few bytes",
            ),
            (&format!("v1:2026-11:{too_many}"), "too many bytes"),
            (&format!("v1:2026-11:{too_many}AA"), "too many bytes"),
        ];
        for (text, expected) in rows {
            let error = text.parse::<Sealed>().unwrap_err();
            assert!(error.to_string().contains(expected), "{text}: {error}");
            assert!(!format!("{error} {error:?}").contains("QU"));
        }
    }

    #[test]
    fn an_api_key_is_sealed_up_to_the_limit() {
        let key_id: KeyId = "k".repeat(32).parse().unwrap();
        let host = name("login.example.com");
        let of = |length| {
            let plain = secret(&"x".repeat(length));
            seal(&key(KEY), &key_id, &host, &plain, nonce())
        };
        let longest = of(MAX_SECRET_BYTES).unwrap();
        let opened = longest.parse::<Sealed>().unwrap().open(&key(KEY), &host);
        assert_eq!(opened.unwrap().expose().len(), MAX_SECRET_BYTES);
        assert_eq!(of(MAX_SECRET_BYTES + 1), Err(TooLong));
    }

    #[test]
    fn only_32_bytes_in_base64url_are_a_sealing_key() {
        let rows = [
            ("", "another length"),
            (&KEY.replacen('g', "", 1), "another length"),
            (&format!("{KEY}="), "another length"),
            (&format!("{KEY}\n"), "another length"),
            (&KEY.replace('g', "+"), "no base64url"),
            (&KEY.replace('g', " "), "no base64url"),
            // The last digit of 43 holds four bits and two that are zero.
            (&KEY.replace("np8", "np9"), "no base64url"),
        ];
        for (text, expected) in rows {
            let error = text.parse::<SealingKey>().unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn only_short_plain_names_are_key_ids() {
        for text in ["2026-11", "a", "A_b-9", &"k".repeat(32)] {
            assert!(text.parse::<KeyId>().is_ok(), "{text}");
        }
        for text in ["", "a:b", "a b", "a.b", "\u{e4}", "a\n", &"k".repeat(33)] {
            assert!(text.parse::<KeyId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn debug_output_holds_neither_key_nor_secret() {
        let (_, host, plain, text) = KNOWN[0];
        let sealed: Sealed = text.parse().unwrap();
        let opened = open(text, KEY, host).unwrap();
        let shown = format!("{:?} {sealed:?} {opened:?}", key(KEY));
        assert_eq!(shown, "SealingKey(..) Sealed(2026-11, ..) Secret(..)");
        assert!(!shown.contains(plain));
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_and_nothing_that_was_changed(
            bytes in any::<[u8; SEALING_KEY_BYTES]>(),
            nonce in any::<[u8; NONCE_BYTES]>(),
            key_id in "[A-Za-z0-9_-]{1,32}",
            host in "[a-z0-9]{1,20}\\.[a-z]{2,10}",
            plain in "[!-~]([ -~]{0,200}[!-~])?",
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let key = SealingKey(bytes);
            let key_id: KeyId = key_id.parse().unwrap();
            let host = name(&host);
            let text = seal(&key, &key_id, &host, &secret(&plain), nonce).unwrap();
            let sealed: Sealed = text.parse().unwrap();
            let opened = sealed.open(&key, &host).unwrap();
            prop_assert_eq!(opened.expose(), plain);

            let mut changed = [sealed.nonce.as_slice(), &sealed.ciphertext].concat();
            *at.get_mut(&mut changed) ^= 1 << bit;
            let changed = URL_SAFE_NO_PAD.encode(changed);
            let changed: Sealed = format!("v1:{key_id}:{changed}").parse().unwrap();
            prop_assert_eq!(changed.open(&key, &host), Err(NotOpened::NotAuthentic));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in "(v1:)?.{0,80}") {
            let _ = text.parse::<Sealed>();
        }
    }
}
