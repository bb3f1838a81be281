//! DAG-PB: the node format of UnixFS, links in front and bytes behind.
//!
//! ```text
//!   node   12 len link   12 len link   …   0a len data
//!   link   0a len CID    12 len name   18 Tsize
//! ```
//!
//! The field numbers say data first, but every writer puts the links first, and so does the hash. Name and
//! Tsize may be absent, which is not the same bytes as an empty name or a Tsize of zero, so both are
//! optional here and a canonical block encodes to the bytes that it was decoded from.
//!
//! Specification: ipld.io, DAG-PB.

use bowline_block::Cid;
use bowline_wire::varint;
use bytes::{BufMut, Bytes, BytesMut};

use crate::proto::{Fields, Malformed, Value};

/// The most links that a node may have.
///
/// A block of 2 MiB holds 46,603 links with a SHA2-256 digest and a name of one byte. More are possible only
/// with links of a few bytes, and 262,144 of those would decode into tens of megabytes.
pub const MAX_LINKS: usize = 65_536;

/// A node: links, then data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PbNode {
    /// The links in the order of the block.
    pub links: Vec<PbLink>,
    /// What the layer above keeps in the node. Absent and empty are different blocks.
    pub data: Option<Bytes>,
}

/// A link to another block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PbLink {
    /// The block that is linked to.
    pub cid: Cid,
    /// The name of the link. Not always UTF-8: file systems allow any bytes.
    pub name: Option<Bytes>,
    /// The length of the linked block and of everything below it, as its writer says.
    pub tsize: Option<u64>,
}

/// Why bytes are not a DAG-PB node. Whoever wrote the block is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DagPbError {
    /// A field is cut off, has no number, or a varint is too long.
    #[error("not a protobuf message")]
    NotProtobuf,
    /// A field that a node or link does not have, or with another wire type.
    #[error("unexpected field {number}")]
    UnexpectedField {
        /// The number of the field.
        number: u64,
    },
    /// A field that occurs twice or in the wrong place.
    #[error("field {number} is repeated or out of order")]
    FieldOrder {
        /// The number of the field.
        number: u64,
    },
    /// A link without a CID, or with bytes that are not exactly one.
    #[error("link {index} does not hold a CID")]
    BadCid {
        /// Which link, from zero.
        index: usize,
    },
    /// More than [`MAX_LINKS`] links.
    #[error("more than {MAX_LINKS} links")]
    TooManyLinks,
}

impl From<Malformed> for DagPbError {
    fn from(_: Malformed) -> Self {
        Self::NotProtobuf
    }
}

const DATA: u64 = 1;
const LINK: u64 = 2;
const HASH: u64 = 1;
const NAME: u64 = 2;
const TSIZE: u64 = 3;

/// Tag bytes: field number and wire type.
const DATA_TAG: u8 = 0x0a;
const LINK_TAG: u8 = 0x12;
const HASH_TAG: u8 = 0x0a;
const NAME_TAG: u8 = 0x12;
const TSIZE_TAG: u8 = 0x18;

impl PbNode {
    /// Decodes the bytes of a block. Names and data are slices of it.
    ///
    /// Data in front of the links is accepted, as the specification demands for old writers.
    ///
    /// # Errors
    ///
    /// When the bytes are not a node, or a node with more than [`MAX_LINKS`] links; the links are counted
    /// before any memory is set aside for them.
    pub fn decode(block: &Bytes) -> Result<Self, DagPbError> {
        let mut node = Self { links: Vec::with_capacity(count_links(block)?), data: None };
        let mut links_ended = false;
        let mut fields = Fields::new(block);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (DATA, Value::Bytes(_)) if node.data.is_some() => {
                    return Err(DagPbError::FieldOrder { number });
                }
                (DATA, Value::Bytes(data)) => {
                    links_ended = !node.links.is_empty();
                    node.data = Some(block.slice_ref(data));
                }
                (LINK, Value::Bytes(_)) if links_ended => return Err(DagPbError::FieldOrder { number }),
                (LINK, Value::Bytes(link)) => {
                    node.links.push(PbLink::decode(block, link, node.links.len())?);
                }
                _ => return Err(DagPbError::UnexpectedField { number }),
            }
        }
        Ok(node)
    }

    /// The bytes of the node, links in the order given.
    ///
    /// Writers of directories sort the links by the bytes of their names.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_len());
        for link in &self.links {
            out.put_u8(LINK_TAG);
            varint::encode(link.body_len() as u64, &mut out);
            link.encode_body(&mut out);
        }
        if let Some(data) = &self.data {
            put_bytes(DATA_TAG, data, &mut out);
        }
        out.freeze()
    }

    /// The length of [`encode`](Self::encode)'s result in bytes.
    pub fn encoded_len(&self) -> usize {
        let links: usize = self.links.iter().map(PbLink::encoded_len).sum();
        links + self.data.as_ref().map_or(0, |data| field_len(data.len()))
    }
}

impl PbLink {
    fn decode(block: &Bytes, link: &[u8], index: usize) -> Result<Self, DagPbError> {
        let (mut cid, mut name, mut tsize) = (None, None, None);
        let mut last = 0;
        let mut fields = Fields::new(link);
        while let Some((number, value)) = fields.next_field()? {
            match (number, value) {
                (HASH..=TSIZE, _) if number <= last => return Err(DagPbError::FieldOrder { number }),
                (HASH, Value::Bytes(bytes)) => {
                    cid = Some(exact_cid(bytes).ok_or(DagPbError::BadCid { index })?);
                }
                (NAME, Value::Bytes(bytes)) => name = Some(block.slice_ref(bytes)),
                (TSIZE, Value::Varint(value)) => tsize = Some(value),
                _ => return Err(DagPbError::UnexpectedField { number }),
            }
            last = number;
        }
        let cid = cid.ok_or(DagPbError::BadCid { index })?;
        Ok(Self { cid, name, tsize })
    }

    /// How many bytes the link takes in its node, with its tag and length.
    pub fn encoded_len(&self) -> usize {
        field_len(self.body_len())
    }

    fn body_len(&self) -> usize {
        field_len(self.cid.encoded_len())
            + self.name.as_ref().map_or(0, |name| field_len(name.len()))
            + self.tsize.map_or(0, |tsize| 1 + varint::encoded_len(tsize))
    }

    fn encode_body(&self, out: &mut BytesMut) {
        put_bytes(HASH_TAG, &self.cid.to_bytes(), out);
        if let Some(name) = &self.name {
            put_bytes(NAME_TAG, name, out);
        }
        if let Some(tsize) = self.tsize {
            out.put_u8(TSIZE_TAG);
            varint::encode(tsize, out);
        }
    }
}

fn count_links(block: &[u8]) -> Result<usize, DagPbError> {
    let mut fields = Fields::new(block);
    let mut links = 0;
    while let Some((number, _)) = fields.next_field()? {
        links += usize::from(number == LINK);
        if links > MAX_LINKS {
            return Err(DagPbError::TooManyLinks);
        }
    }
    Ok(links)
}

/// A CID that takes all of `bytes`; what follows one would be lost and the block would not re-encode.
fn exact_cid(bytes: &[u8]) -> Option<Cid> {
    let cid = Cid::try_from(bytes).ok()?;
    (cid.encoded_len() == bytes.len()).then_some(cid)
}

fn field_len(len: usize) -> usize {
    1 + varint::encoded_len(len as u64) + len
}

fn put_bytes(tag: u8, bytes: &[u8], out: &mut BytesMut) {
    out.put_u8(tag);
    varint::encode(bytes.len() as u64, out);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(hex: &str) -> Result<PbNode, DagPbError> {
        PbNode::decode(&Bytes::from(hex::decode(hex.replace(' ', "")).unwrap()))
    }

    fn round_trips(hex: &str) {
        let node = decode(hex).unwrap();
        assert_eq!(hex::encode(node.encode()), hex.replace(' ', ""));
        assert_eq!(node.encoded_len(), node.encode().len());
    }

    #[test]
    fn canonical_blocks_encode_to_the_bytes_they_were_decoded_from() {
        for block in [
            "",
            "0a00",
            "0a050001020304",
            "120b 0a09 015500050001020304",
            "120d 0a09 015500050001020304 1200",
            "120f 0a09 015500050001020304 1200 1800",
            "1211 0a09 015500050001020304 1202fffe 1805 0a0161",
        ] {
            round_trips(block);
        }
    }

    #[test]
    fn data_in_front_of_the_links_is_read_and_written_behind_them() {
        let old = decode("0a0161 1206 0a0401550000").unwrap();
        assert_eq!(hex::encode(old.encode()), "12060a04015500000a0161");
    }

    #[test]
    fn names_need_not_be_utf8() {
        let node = decode("120a 0a0401550000 1202fffe").unwrap();
        assert_eq!(node.links[0].name.as_deref(), Some(&[0xff, 0xfe][..]));
    }

    #[test]
    fn what_would_not_encode_again_is_refused() {
        let cases = [
            ("0a0161 0a0162", DagPbError::FieldOrder { number: 1 }),
            ("12060a0401550000 0a00 12060a0401550000", DagPbError::FieldOrder { number: 2 }),
            ("120c 0a0401550000 0a0401550000", DagPbError::FieldOrder { number: 1 }),
            ("1208 1200 0a0401550000", DagPbError::FieldOrder { number: 1 }),
            ("1207 0a05 0155000 0ff".trim(), DagPbError::BadCid { index: 0 }),
            ("1202 1200", DagPbError::BadCid { index: 0 }),
            ("1a00", DagPbError::UnexpectedField { number: 3 }),
            ("0801", DagPbError::UnexpectedField { number: 1 }),
            ("1202 1a00", DagPbError::UnexpectedField { number: 3 }),
            ("1205 0a40 01 55 00", DagPbError::NotProtobuf),
        ];
        for (hex, error) in cases {
            assert_eq!(decode(hex), Err(error), "{hex}");
        }
    }

    #[test]
    fn every_truncation_of_a_node_is_refused_or_is_a_shorter_node() {
        let block = hex::decode("120f0a090155000500010203041200180512060a04015500000a03616263").unwrap();
        for len in 0..block.len() {
            let boundary = [0, 17, 25].contains(&len);
            let decoded = PbNode::decode(&Bytes::copy_from_slice(&block[..len]));
            assert_eq!(decoded.is_ok(), boundary, "{len} bytes: {decoded:?}");
        }
    }

    #[test]
    fn links_are_counted_before_they_are_decoded() {
        let link = [0x12, 6, 0x0a, 4, 1, 0x55, 0, 0];
        let most = PbNode::decode(&Bytes::from(link.repeat(MAX_LINKS))).unwrap();
        assert_eq!(most.links.len(), MAX_LINKS);
        let more = Bytes::from(link.repeat(MAX_LINKS + 1));
        assert_eq!(PbNode::decode(&more), Err(DagPbError::TooManyLinks));
    }
}
