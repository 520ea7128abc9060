//! The calls of a [`FaultyDisk`], as the journal makes them.

use std::io;
use std::sync::Arc;

use super::{Call, FaultyDisk, FaultyFile, Inode, NameChange, inode};
use crate::journal::disk::{Disk, DiskFile};

impl Disk for FaultyDisk {
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.called_with(Call::Create, name)?;
        let mut state = self.state.lock();
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.add(Inode::default());
        state.change_names(NameChange::Create(name.to_owned(), inode));
        state.open += 1;
        Ok(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.called_with(Call::Open, name)?;
        let mut state = self.state.lock();
        let inode = state.named(name)?;
        state.open += 1;
        Ok(Arc::new(FaultyFile { disk: self.clone(), inode }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.called(Call::List, |_| None)?;
        Ok(self.names())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.called_with(Call::Rename, from)?;
        let mut state = self.state.lock();
        state.named(from)?;
        state.change_names(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.called_with(Call::Remove, name)?;
        let mut state = self.state.lock();
        state.named(name)?;
        state.change_names(NameChange::Remove(name.to_owned()));
        Ok(())
    }

    fn room(&self) -> io::Result<Option<u64>> {
        let state = self.state.lock();
        Ok(state.sectors_max.map(|_| (state.room() * inode::SECTOR) as u64))
    }

    fn sync_names(&self) -> io::Result<()> {
        let called = self.called(Call::SyncNames, |_| None);
        let mut state = self.state.lock();
        state.names_lost |= called.is_err();
        if !state.names_lost {
            state.name_changes.clear();
            state.synced_names = state.names.clone();
        }
        called
    }
}

impl FaultyFile {
    fn called(&self, call: Call) -> io::Result<()> {
        self.disk.called(call, |state| state.name_of(self.inode))
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.called(Call::Read)?;
        Ok(self.disk.state.lock().inodes[self.inode].read_at(buffer, offset))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let called = self.called(Call::Write);
        let half = &bytes[..bytes.len() / 2];
        let mut state = self.disk.state.lock();
        let room = state.room();
        let written =
            state.inodes[self.inode].write_at(if called.is_ok() { bytes } else { half }, offset, room);
        called.and(written)
    }

    fn sync(&self) -> io::Result<()> {
        let called = self.called(Call::Sync);
        self.disk.state.lock().inodes[self.inode].sync(called.is_ok());
        called
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().inodes[self.inode].len())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let state = self.disk.state.lock();
        let sectors = usize::try_from(len).expect("a short file").div_ceil(inode::SECTOR);
        let more = sectors.saturating_sub(state.inodes[self.inode].sectors());
        if more > state.room() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.called(Call::SetLen)?;
        self.disk.state.lock().inodes[self.inode].set_len(len);
        Ok(())
    }
}
