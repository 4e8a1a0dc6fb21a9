//! The few DER forms a certificate is made of.
//!
//! Written by hand, because a library that refuses to write a wrong certificate cannot make the ones
//! a test needs: version 1, doubled extensions, negative serial numbers.

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// The tag of a constructed, context-specific element, as in `[3]`.
pub(crate) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// The tag of a primitive, context-specific element, as in `[2] IMPLICIT`.
pub(crate) const fn implicit(number: u8) -> u8 {
    0x80 | number
}

/// One element: tag, definite length in the shortest form, content.
pub(crate) fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
            out.push(0x80 | significant.len() as u8);
            out.extend_from_slice(&significant);
        }
    }
    out.extend_from_slice(content);
    out
}

/// A sequence of elements that are already encoded.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(SEQUENCE, &parts.concat())
}

/// A bit string of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(BIT_STRING, &[&[0], bytes].concat())
}

/// A named bit list of at most eight names, without its trailing zero bits as DER requires.
pub(crate) fn named_bits(bits: u8) -> Vec<u8> {
    let unused = (bits.trailing_zeros() % 8) as u8;
    element(BIT_STRING, &[unused, bits])
}

/// An object identifier from its arcs.
pub(crate) fn object_identifier(arcs: &[u32]) -> Vec<u8> {
    let (first, rest) = match arcs {
        [first, second, rest @ ..] => (first * 40 + second, rest),
        _ => (0, arcs),
    };
    let mut content = Vec::new();
    for arc in std::iter::once(first).chain(rest.iter().copied()) {
        let groups = (0..5).rev().map(|group| (arc >> (7 * group)) as u8 & 0x7f);
        let mut groups: Vec<u8> = groups.skip_while(|group| *group == 0).collect();
        if groups.is_empty() {
            groups.push(0);
        }
        let last = groups.len() - 1;
        for group in &mut groups[..last] {
            *group |= 0x80;
        }
        content.extend_from_slice(&groups);
    }
    element(OBJECT_IDENTIFIER, &content)
}

/// A point in time: `UTCTime` to the end of 2049, `GeneralizedTime` after (RFC 5280 4.1.2.5).
pub(crate) fn time(unix_seconds: i64) -> Vec<u8> {
    let (year, month, day) = civil(unix_seconds.div_euclid(86_400));
    let second = unix_seconds.rem_euclid(86_400);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let rest = format!("{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
    if (1950..2050).contains(&year) {
        element(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        element(GENERALIZED_TIME, format!("{year:04}{rest}").as_bytes())
    }
}

/// Year, month and day of a day counted from 1970-01-01 (Hinnant's `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// An element whole, its content, and what follows it.
pub(crate) type Split<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits the first element off; `None` when it is cut short.
pub(crate) fn split(der: &[u8]) -> Option<Split<'_>> {
    let short = usize::from(*der.get(1)?);
    let (header, length) = match short {
        0..0x80 => (2, short),
        _ => {
            let long = der.get(2..2 + (short & 0x7f))?;
            let length = long
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (2 + long.len(), length)
        }
    };
    let (whole, rest) = der.split_at_checked(header + length)?;
    Some((whole, &whole[header..], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_the_shortest_form() {
        assert_eq!(element(OCTET_STRING, &[7; 3]), [4, 3, 7, 7, 7]);
        assert_eq!(element(OCTET_STRING, &[7; 128])[..3], [4, 0x81, 128]);
        assert_eq!(element(OCTET_STRING, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn times_change_their_form_in_2050() {
        assert_eq!(time(0)[2..], *b"700101000000Z");
        assert_eq!(time(951_782_399)[2..], *b"000228235959Z");
        assert_eq!(time(2_524_608_000)[2..], *b"20500101000000Z");
    }

    #[test]
    fn identifiers_use_base_128() {
        assert_eq!(
            object_identifier(&[1, 2, 840, 113_549]),
            [6, 6, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]
        );
        assert_eq!(object_identifier(&[2, 5, 29, 15]), [6, 3, 0x55, 0x1d, 0x0f]);
    }

    #[test]
    fn named_bits_drop_trailing_zeros() {
        assert_eq!(named_bits(0x80), [3, 2, 7, 0x80]);
        assert_eq!(named_bits(0x06), [3, 2, 1, 0x06]);
    }

    #[test]
    fn what_is_written_is_split_again() {
        let long = element(OCTET_STRING, &[7; 300]);
        let two = [long.as_slice(), &[5, 0]].concat();
        assert_eq!(split(&two), Some((&long[..], &[7; 300][..], &[5, 0][..])));
        assert_eq!(split(&long[..200]), None);
    }
}
