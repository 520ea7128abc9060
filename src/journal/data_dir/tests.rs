//! Tests of the module above.

use std::fs;

use super::*;
use crate::journal::append::Appender;
use crate::journal::control::{Content, Control};
use crate::journal::group;
use crate::journal::log::Log;
use crate::journal::testing::EMPTY;
use crate::journal::watermark::GroupEnd;

fn control(data: &DataDir) -> Arc<Control> {
    Arc::new(Control::open(data.disk(), Content::fresh(), EMPTY, None).unwrap())
}

fn assert_in_use(path: &Path) {
    assert!(matches!(DataDir::open(path), Err(DataDirError::InUse(_))));
}

#[test]
fn a_second_is_kept_out_though_the_lock_file_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(folder.path()).unwrap();
    assert_in_use(folder.path());
    fs::remove_file(folder.path().join(LOCK_NAME)).unwrap();
    assert_in_use(folder.path());
    drop(data);
    DataDir::open_or_create(folder.path()).unwrap();
}

/// A child that is just being started has every descriptor, and so the locks, until it becomes its program.
#[test]
fn it_is_free_at_once_though_a_child_process_has_its_descriptors() {
    let folder = tempfile::tempdir().unwrap();
    let data = DataDir::open_or_create(folder.path()).unwrap();
    let DataDir { _locks: locks, .. } = &data;
    let inherited: Vec<File> = locks.iter().map(|Lock(file)| file.try_clone().unwrap()).collect();
    assert_in_use(folder.path());
    drop(data);
    let again = DataDir::open(folder.path()).unwrap();
    // Nor does what the child closes free it.
    drop(inherited);
    assert_in_use(folder.path());
    drop(again);
}

#[test]
fn one_that_locks_the_file_alone_keeps_it_and_is_kept_out() {
    let folder = tempfile::tempdir().unwrap();
    drop(DataDir::open_or_create(folder.path()).unwrap());
    let other = File::open(folder.path().join(LOCK_NAME)).unwrap();
    other.try_lock().unwrap();
    assert_in_use(folder.path());
    other.unlock().unwrap();
    let _data = DataDir::open(folder.path()).unwrap();
    assert!(other.try_lock().is_err());
}

#[test]
fn nothing_is_appended_to_a_folder_that_was_moved_or_replaced() {
    for replaced in [false, true] {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let data = DataDir::open_or_create(&path).unwrap();
        let mut appender =
            Appender::new(data.disk(), Arc::new(Log::default()), control(&data), None, EMPTY, 1 << 20)
                .unwrap();
        let mut append = || {
            let mut bytes = Vec::new();
            group::begin(&mut bytes);
            let position = appender.make_room(bytes.len(), 1, |_| false)?;
            let end = GroupEnd { position: position + bytes.len() as u64, ..appender.end() };
            appender.append(&bytes, end)
        };
        append().unwrap();
        fs::rename(&path, parent.path().join("away")).unwrap();
        if replaced {
            fs::create_dir(&path).unwrap();
        }
        assert!(append().unwrap_err().to_string().contains("moved away"));
    }
}

/// Whatever a start that was killed leaves before there is any stock, it is no folder of somebody else.
#[test]
fn what_is_left_before_there_is_any_stock_is_not_foreign() {
    let documents = documents::Name::ALL.map(documents::Name::temporary);
    for left in
        [prepare::NAME, snapshot::TEMPORARY, control::TEMPORARY, control::SPARE].into_iter().chain(documents)
    {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(left), "what is left").unwrap();
        assert!(DataDir::open_or_create(folder.path()).is_ok(), "{left}");
    }
}
