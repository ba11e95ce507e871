use proptest::prelude::*;

use super::*;

fn of(head: &[u8], declared: Option<&str>) -> Result<&'static str, TypeRefusal> {
    recognize(head)?.declared_as(declared).map(|(mime, _)| mime)
}

fn png(depth: u8, colour: u8) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01".to_vec();
    file.extend([depth, colour, 0, 0, 0]);
    file
}

fn webp(side: u32, animated: bool) -> Vec<u8> {
    let mut file = b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0".to_vec();
    file.extend([if animated { 2 } else { 0 }, 0, 0, 0]);
    for _ in 0..2 {
        file.extend_from_slice(&(side - 1).to_le_bytes()[..3]);
    }
    file
}

fn ogg(codec: &[u8], channels: u8) -> Vec<u8> {
    let mut file = b"OggS".to_vec();
    file.resize(28, 0);
    file.extend_from_slice(codec);
    file.extend([1, channels, 0, 0]);
    file
}

fn ftyp(brand: [u8; 4]) -> Vec<u8> {
    [b"\0\0\0\x18ftyp".as_slice(), &brand, b"\0\0\0\0isommp42"].concat()
}

#[test]
fn content_tells_the_type() {
    let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0".to_vec();
    let ole = [b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".as_slice(), &[0; 600]].concat();
    let table: [(Vec<u8>, Option<&str>, &str); 14] = [
        (jpeg.clone(), None, "image/jpeg"),
        (jpeg, Some("image/jpg"), "image/jpeg"),
        (png(8, 6), Some("image/png"), "image/png"),
        (webp(512, false), None, "image/webp"),
        (
            ogg(b"OpusHead", 1),
            Some("audio/ogg; codecs=opus"),
            "audio/ogg",
        ),
        (ftyp(*b"isom"), None, "video/mp4"),
        (ftyp(*b"mp42"), Some("audio/mp4"), "audio/mp4"),
        (ftyp(*b"M4A "), None, "audio/mp4"),
        (ftyp(*b"3gp5"), None, "video/3gpp"),
        (b"ID3\x03\0\0\0".to_vec(), None, "audio/mpeg"),
        (
            b"%PDF-1.7\n".to_vec(),
            Some("application/pdf"),
            "application/pdf",
        ),
        (ole.clone(), None, "application/msword"),
        (
            ole,
            Some("application/vnd.ms-excel"),
            "application/vnd.ms-excel",
        ),
        ("Guten Tag, schöne Grüße".into(), None, "text/plain"),
    ];
    for (head, declared, expected) in table {
        assert_eq!(of(&head, declared), Ok(expected), "{declared:?}");
    }
}

#[test]
fn a_wrong_declaration_is_told_with_both_names() {
    let error = of(&png(8, 2), Some("image/jpeg")).unwrap_err();
    assert_eq!(
        error,
        TypeRefusal::Mismatch {
            declared: "image/jpeg".to_owned(),
            found: "image/png"
        }
    );
    let served = recognize(&png(8, 2)).unwrap().served_as(Some("image/jpeg"));
    assert_eq!(served, Ok(("image/png", MediaKind::Image)));
}

#[test]
fn what_whatsapp_does_not_take_is_refused() {
    let refused: [&[u8]; 6] = [
        b"GIF89a\x01\0\x01\0",
        b"MZ\x90\0\x03\0\0\0",
        b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\0\0a.txt",
        b"\0\x01\x02\x03",
        &[0xc3, 0x28, 0x41],
        b"",
    ];
    for head in refused {
        assert!(
            matches!(of(head, None), Err(TypeRefusal::Unsupported { .. })),
            "{head:?}"
        );
    }
    for head in [
        png(16, 2),
        png(8, 3),
        webp(300, false),
        ogg(b"\x01vorbis\0", 1),
        ogg(b"OpusHead", 2),
        ftyp(*b"isom")[..8].to_vec(),
    ] {
        assert!(of(&head, None).is_err(), "{head:?}");
    }
}

#[test]
fn limits_follow_the_kind() {
    let table = [
        (webp(512, false), 100 * 1024),
        (webp(512, true), 500 * 1024),
        (png(8, 2), 5 * 1024 * 1024),
        (ftyp(*b"isom"), 16 * 1024 * 1024),
        (b"%PDF-1.7".to_vec(), 100 * 1024 * 1024),
    ];
    for (head, limit) in table {
        assert_eq!(recognize(&head).unwrap().limit, limit);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_judged_without_panic(
        start in prop::sample::select(vec![
            b"".to_vec(), webp(512, true), png(8, 2), ogg(b"OpusHead", 1), ftyp(*b"isom"),
            b"PK\x03\x04".to_vec(), b"RIFF".to_vec(),
        ]),
        cut in 0_usize..40,
        rest in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut head = start;
        head.truncate(cut);
        head.extend(rest);
        if let Ok(found) = recognize(&head) {
            prop_assert!(found.declared_as(None).is_ok());
        }
    }
}
