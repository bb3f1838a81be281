//! Reading the vector files.

#![allow(dead_code, reason = "each test file uses a part")]

use bowline_identity::{KeyType, Keypair};
use serde_json::Value;

/// The vectors of a file in `tests/vectors`, under one of its names.
pub(crate) fn vectors(file: &str, list: &str) -> Vec<Value> {
    let text = match file {
        "peer-ids" => include_str!("../vectors/peer-ids.json"),
        "signatures" => include_str!("../vectors/signatures.json"),
        "envelopes" => include_str!("../vectors/envelopes.json"),
        _ => panic!("no vector file {file}"),
    };
    let file: Value = serde_json::from_str(text).unwrap();
    let list = file[list].as_array().unwrap().clone();
    assert!(!list.is_empty());
    list
}

/// A text of a vector.
pub(crate) fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
    vector[name].as_str().unwrap_or_else(|| panic!("{vector} has no {name}"))
}

/// Bytes of a vector.
pub(crate) fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    hex::decode(text(vector, name)).unwrap()
}

/// The key type of a vector.
pub(crate) fn key_type(vector: &Value) -> KeyType {
    match text(vector, "type") {
        "RSA" => KeyType::Rsa,
        "Ed25519" => KeyType::Ed25519,
        "secp256k1" => KeyType::Secp256k1,
        "ECDSA" => KeyType::Ecdsa,
        other => panic!("no key type {other}"),
    }
}

/// Whether keys of a type are compiled in.
pub(crate) fn is_compiled(key_type: KeyType) -> bool {
    match key_type {
        KeyType::Ed25519 => true,
        KeyType::Rsa => cfg!(feature = "rsa"),
        KeyType::Secp256k1 => cfg!(feature = "secp256k1"),
        KeyType::Ecdsa => cfg!(feature = "ecdsa"),
    }
}

/// The specification's private key of each type that is compiled in.
pub(crate) fn keypairs() -> Vec<Keypair> {
    let vectors = vectors("peer-ids", "keys");
    let compiled = vectors.iter().filter(|vector| is_compiled(key_type(vector)));
    compiled.map(|vector| Keypair::from_protobuf(&bytes(vector, "private")).unwrap()).collect()
}

/// A key message: the type, then the data.
pub(crate) fn key_message(key_type: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x08, key_type, 0x12];
    bowline_wire::varint::encode(data.len() as u64, &mut bytes);
    bytes.extend_from_slice(data);
    bytes
}

/// A DER value with its tag and length.
pub(crate) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let len = content.len();
    let mut bytes = vec![tag];
    match u8::try_from(len) {
        Ok(short @ ..0x80) => bytes.push(short),
        Ok(byte) => bytes.extend([0x81, byte]),
        Err(_) => bytes.extend([&[0x82][..], &u16::try_from(len).unwrap().to_be_bytes()].concat()),
    }
    bytes.extend_from_slice(content);
    bytes
}

/// `NULL` in DER.
pub(crate) const DER_NULL: [u8; 2] = [0x05, 0x00];

/// A public RSA key message with a modulus of so many bits. Nobody has its private half.
pub(crate) fn rsa_message(bits: usize, algorithm_parameters: &[u8]) -> Vec<u8> {
    rsa_message_with(bits, &[1, 0, 1], algorithm_parameters)
}

/// The same with another public exponent.
pub(crate) fn rsa_message_with(bits: usize, exponent: &[u8], algorithm_parameters: &[u8]) -> Vec<u8> {
    let mut modulus = vec![0xff; bits.div_ceil(8)];
    modulus[0] >>= (8 - bits % 8) % 8;
    if bits.is_multiple_of(8) {
        modulus.insert(0, 0);
    }
    let key = der(0x30, &[der(0x02, &modulus), der(0x02, exponent)].concat());
    let oid = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    let algorithm = der(0x30, &[&oid, algorithm_parameters].concat());
    let bit_string = der(0x03, &[&[0], &key[..]].concat());
    key_message(0, &der(0x30, &[algorithm, bit_string].concat()))
}
