//! Writes a log of one chunk: each record's XML as binary XML without templates ([MS-EVEN6], section 2.2.12).

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

pub(super) const FILE_HEADER_BYTES: usize = 4096;
pub(super) const CHUNK_BYTES: usize = 65_536;
const CHUNK_HEADER_BYTES: usize = 512;
const RECORD_HEADER_BYTES: usize = 24;

/// A log with these events, whose records are numbered from 1; what their XML says of that stays as it is.
pub(super) fn evtx_of(events: &[&str]) -> Vec<u8> {
    let mut chunk = vec![0; CHUNK_HEADER_BYTES];
    let mut last_record_at = 0;
    for (index, event) in events.iter().enumerate() {
        last_record_at = chunk.len();
        push_record(&mut chunk, index as u64 + 1, event);
    }
    let records = events.len() as u64;
    finish_chunk(&mut chunk, records, last_record_at);
    let mut file = file_header(records);
    file.extend(chunk);
    file
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn file_header(records: u64) -> Vec<u8> {
    let mut header = vec![0; FILE_HEADER_BYTES];
    put(&mut header, 0, b"ElfFile\0");
    put(&mut header, 24, &(records + 1).to_le_bytes());
    put(&mut header, 32, &128_u32.to_le_bytes());
    // Version 3.1, header block, one chunk.
    put(&mut header, 36, &1_u16.to_le_bytes());
    put(&mut header, 38, &3_u16.to_le_bytes());
    put(&mut header, 40, &(FILE_HEADER_BYTES as u16).to_le_bytes());
    put(&mut header, 42, &1_u16.to_le_bytes());
    let checksum = evtx::checksum_ieee(&header[..120]);
    put(&mut header, 124, &checksum.to_le_bytes());
    header
}

fn finish_chunk(chunk: &mut Vec<u8>, records: u64, last_record_at: usize) {
    let end = chunk.len();
    assert!(end <= CHUNK_BYTES, "the events fit one chunk");
    let records_checksum = evtx::checksum_ieee(&chunk[CHUNK_HEADER_BYTES..]);
    put(chunk, 0, b"ElfChnk\0");
    for (at, number) in [(8, 1), (16, records), (24, 1), (32, records)] {
        put(chunk, at, &number.to_le_bytes());
    }
    put(chunk, 40, &128_u32.to_le_bytes());
    put(chunk, 44, &(last_record_at as u32).to_le_bytes());
    put(chunk, 48, &(end as u32).to_le_bytes());
    put(chunk, 52, &records_checksum.to_le_bytes());
    let covered = [&chunk[..120], &chunk[128..CHUNK_HEADER_BYTES]].concat();
    put(chunk, 124, &evtx::checksum_ieee(&covered).to_le_bytes());
    chunk.resize(CHUNK_BYTES, 0);
}

fn push_record(chunk: &mut Vec<u8>, number: u64, event: &str) {
    let at = chunk.len();
    chunk.extend([0; RECORD_HEADER_BYTES]);
    push_binary_xml(chunk, event);
    chunk.extend([0; 4]);
    let size = ((chunk.len() - at) as u32).to_le_bytes();
    put(chunk, at, b"**\0\0");
    put(chunk, at + 4, &size);
    put(chunk, at + 8, &number.to_le_bytes());
    // 2026-01-05 in units of 100 ns since 1601.
    put(chunk, at + 16, &134_120_448_000_000_000_u64.to_le_bytes());
    let copy_at = chunk.len() - 4;
    put(chunk, copy_at, &size);
}

fn push_binary_xml(chunk: &mut Vec<u8>, event: &str) {
    // Fragment header.
    chunk.extend([0x0f, 1, 1, 0]);
    let mut reader = Reader::from_str(event);
    let mut text = String::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                // Space between elements is layout.
                text.clear();
                open(chunk, &start);
                chunk.push(0x02);
            }
            Event::Empty(start) => {
                open(chunk, &start);
                chunk.push(0x03);
            }
            Event::Text(more) => text.push_str(&more),
            Event::End(_) => {
                if !text.trim().is_empty() {
                    value(chunk, &text);
                }
                text.clear();
                chunk.push(0x04);
            }
            Event::Eof => break,
            Event::CData(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_)
            | Event::GeneralRef(_) => {}
        }
    }
    chunk.push(0x00);
}

fn open(chunk: &mut Vec<u8>, start: &BytesStart<'_>) {
    let attributes: Vec<_> = start.attributes().map(Result::unwrap).collect();
    chunk.push(if attributes.is_empty() { 0x01 } else { 0x41 });
    // The element's size, which readers pass over.
    chunk.extend([0; 4]);
    name(chunk, start.local_name().as_ref());
    if !attributes.is_empty() {
        chunk.extend([0; 4]);
    }
    for (index, attribute) in attributes.iter().enumerate() {
        let is_last = index + 1 == attributes.len();
        chunk.push(if is_last { 0x06 } else { 0x46 });
        name(chunk, attribute.key.as_ref());
        value(chunk, &attribute.value);
    }
}

/// A name that follows its own reference: next name, hash, length, text, zero.
fn name(chunk: &mut Vec<u8>, name: &str) {
    let at = chunk.len() as u32 + 4;
    chunk.extend(at.to_le_bytes());
    chunk.extend([0; 6]);
    chunk.extend((name.encode_utf16().count() as u16).to_le_bytes());
    chunk.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    chunk.extend([0; 2]);
}

fn value(chunk: &mut Vec<u8>, text: &str) {
    chunk.extend([0x05, 0x01]);
    chunk.extend((text.encode_utf16().count() as u16).to_le_bytes());
    chunk.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
}
