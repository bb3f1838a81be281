//! A walk over the tags of a protobuf message that counts before anything is decoded.
//!
//! A decoder allocates for each entry of a repeated field, and an empty entry costs a peer two bytes: two
//! million of them in a 4 MiB message decode into 137 MB. [`check`] walks the same bytes without
//! allocating and refuses as soon as a field occurs more often than the protocol allows.

use crate::varint;

/// How often a field may occur in one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The field numbers from the message's root to the field, such as `&[1, 1]` for `wantlist.entries`.
    pub path: &'static [u32],
    /// The most occurrences, summed over the whole message.
    pub max: usize,
}

/// Why a message is refused before it is decoded. The sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// A field goes on past the end of the message.
    #[error("protobuf field is cut off")]
    Truncated,
    /// A tag has field number zero or an unknown wire type.
    #[error("protobuf tag is malformed")]
    BadTag,
    /// A varint is longer than ten bytes.
    #[error("protobuf varint is malformed")]
    BadVarint,
    /// A field occurs more often than its limit.
    #[error("protobuf field {path:?} occurs more than {max} times")]
    TooMany {
        /// The path of the field.
        path: &'static [u32],
        /// Its limit.
        max: usize,
    },
    /// The message uses groups, which no protocol here has.
    #[error("protobuf groups are not supported")]
    GroupNotSupported,
}

/// The deepest path that a [`Limit`] may name.
pub const MAX_DEPTH: usize = 4;

/// Walks over `bytes` and checks every limit.
///
/// Only fields on the way to a limited field are entered; all others are skipped by their length.
///
/// # Errors
///
/// When the bytes are no protobuf message or a limit is exceeded.
pub fn check(bytes: &[u8], limits: &[Limit]) -> Result<(), CheckError> {
    let mut counts = vec![0; limits.len()];
    walk(bytes, limits, &mut counts, &mut Vec::with_capacity(MAX_DEPTH))
}

fn walk(
    mut bytes: &[u8],
    limits: &[Limit],
    counts: &mut [usize],
    path: &mut Vec<u32>,
) -> Result<(), CheckError> {
    while !bytes.is_empty() {
        let (tag, rest) = read_varint(bytes)?;
        let field = u32::try_from(tag >> 3).ok().filter(|field| *field != 0).ok_or(CheckError::BadTag)?;
        path.push(field);
        count(limits, counts, path)?;
        let (body, rest) = match tag & 7 {
            0 => (None, read_varint(rest)?.1),
            1 => (None, rest.get(8..).ok_or(CheckError::Truncated)?),
            5 => (None, rest.get(4..).ok_or(CheckError::Truncated)?),
            2 => {
                let (len, rest) = read_varint(rest)?;
                let len = usize::try_from(len).map_err(|_| CheckError::Truncated)?;
                let (body, rest) = rest.split_at_checked(len).ok_or(CheckError::Truncated)?;
                (Some(body), rest)
            }
            3 | 4 => return Err(CheckError::GroupNotSupported),
            _ => return Err(CheckError::BadTag),
        };
        if let Some(body) = body
            && leads_to_a_limit(limits, path)
        {
            walk(body, limits, counts, path)?;
        }
        path.pop();
        bytes = rest;
    }
    Ok(())
}

fn count(limits: &[Limit], counts: &mut [usize], path: &[u32]) -> Result<(), CheckError> {
    for (limit, count) in limits.iter().zip(counts) {
        if limit.path == path {
            *count += 1;
            if *count > limit.max {
                return Err(CheckError::TooMany { path: limit.path, max: limit.max });
            }
        }
    }
    Ok(())
}

fn leads_to_a_limit(limits: &[Limit], path: &[u32]) -> bool {
    path.len() < MAX_DEPTH
        && limits.iter().any(|limit| limit.path.len() > path.len() && limit.path.starts_with(path))
}

/// Reads a varint by protobuf's rules, which unlike the multiformats' allow padding and ten bytes.
fn read_varint(bytes: &[u8]) -> Result<(u64, &[u8]), CheckError> {
    if let Ok(Some((value, used))) = varint::decode(bytes) {
        return Ok((value, &bytes[used..]));
    }
    let mut value = 0u64;
    for (index, byte) in (0..10u32).zip(bytes) {
        let bits = u64::from(byte & 0x7f);
        value |= bits.checked_shl(7 * index).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Ok((value, &bytes[index as usize + 1..]));
        }
    }
    Err(if bytes.len() < 10 { CheckError::Truncated } else { CheckError::BadVarint })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRIES: Limit = Limit { path: &[1, 1], max: 2 };

    /// A wantlist (field 1) with `entries` empty entries (field 1).
    fn message(entries: usize) -> Vec<u8> {
        let body = [0x0a, 0].repeat(entries);
        let mut bytes = vec![0x0a];
        varint::encode(body.len() as u64, &mut bytes);
        bytes.extend_from_slice(&body);
        bytes
    }

    #[test]
    fn entries_up_to_the_limit_pass_and_one_more_is_refused() {
        assert_eq!(check(&message(2), &[ENTRIES]), Ok(()));
        assert_eq!(check(&message(3), &[ENTRIES]), Err(CheckError::TooMany { path: &[1, 1], max: 2 }));
    }

    #[test]
    fn entries_are_summed_over_repeated_parents() {
        let twice = [message(2), message(1)].concat();
        assert!(matches!(check(&twice, &[ENTRIES]), Err(CheckError::TooMany { .. })));
    }

    #[test]
    fn fields_off_the_path_are_skipped_without_being_parsed() {
        let other = [0x12, 3, 0xff, 0xff, 0xff];
        assert_eq!(check(&other, &[ENTRIES]), Ok(()));
    }

    #[test]
    fn every_truncation_is_refused() {
        let mut bytes = message(2);
        bytes.extend_from_slice(&[0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0, 0x28, 0x80, 1]);
        for len in 0..bytes.len() {
            let result = check(&bytes[..len], &[ENTRIES]);
            let boundary = [0, 6, 15, 20].contains(&len);
            assert_eq!(result.is_ok(), boundary, "{len} bytes: {result:?}");
        }
        assert_eq!(check(&bytes, &[ENTRIES]), Ok(()));
    }

    #[test]
    fn malformed_tags_are_refused() {
        assert_eq!(check(&[0x02, 0], &[]), Err(CheckError::BadTag));
        assert_eq!(check(&[0x0b], &[]), Err(CheckError::GroupNotSupported));
        assert_eq!(check(&[0x0e], &[]), Err(CheckError::BadTag));
        assert_eq!(check(&[0xff; 11], &[]), Err(CheckError::BadVarint));
    }

    #[test]
    fn a_padded_varint_is_legal_in_protobuf() {
        assert_eq!(check(&[0x08, 0x81, 0x00], &[]), Ok(()));
    }
}
