//! The committed description of the events is the code's.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use portal_events::asyncapi;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/gateway/docs/events")
}

/// Every file by its name.
fn made() -> BTreeMap<String, String> {
    let text = |value| serde_json::to_string_pretty(&value).unwrap() + "\n";
    asyncapi::events()
        .into_iter()
        .map(|event| (event.file_name(), text(event.schema)))
        .chain([("asyncapi.json".to_owned(), text(asyncapi::document()))])
        .collect()
}

#[test]
fn the_committed_description_is_current() {
    let (folder, made) = (folder(), made());
    if std::env::var_os("UPDATE_ASYNCAPI").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in &made {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let committed: BTreeMap<String, String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    let names: Vec<_> = committed.keys().collect();
    assert_eq!(
        names,
        made.keys().collect::<Vec<_>>(),
        "run with UPDATE_ASYNCAPI=1 and commit"
    );
    // By value: the order of an object's keys depends on the features that a build gives serde_json.
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for (name, text) in &made {
        assert_eq!(
            parsed(&committed[name]),
            parsed(text),
            "{name}: run with UPDATE_ASYNCAPI=1 and commit"
        );
    }
}

#[test]
fn every_event_of_the_catalogue_is_described() {
    let catalogue = concat!(
        include_str!("../../src/catalogue.rs"),
        include_str!("../../src/catalogue/inbound.rs"),
        include_str!("../../src/catalogue/conversations.rs"),
    );
    let types: Vec<_> = catalogue
        .lines()
        .filter_map(|line| line.split_once(" = \"")?.1.split_once('"'))
        .map(|(name, _)| name)
        .filter(|name| name.contains('.'))
        .collect();
    let mut described: Vec<_> = asyncapi::events().iter().map(|e| e.event_type).collect();
    let mut expected = types;
    expected.sort_unstable();
    described.sort_unstable();
    assert_eq!(described, expected);
}
