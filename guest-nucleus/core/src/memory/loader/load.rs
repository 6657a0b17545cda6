//! Carrying out a plan: `actorLoad`, and the actors of the boot archive.

use super::plan::{Plan, Refusal, Source, plan};
use crate::arena::Id;
use crate::executive::actor::{Actor, End};
use crate::executive::thread::{Thread, local_identifier};
use crate::machine::{Machine, Start};
use crate::nucleus::{Caller, Nucleus, Outcome};
use chorus_abi::image::*;
use chorus_abi::*;

/// Pages that loading an actor takes beside its image and stack, tables of pages included.
const LOADING: u64 = 32;
/// Stack of a first thread when nothing else is asked for.
const STACK: u64 = 64 << 10;
/// Largest stack of a first thread.
const STACK_MAX: u64 = 16 << 20;

/// Bytes copied at once: they lie on the kernel's stack.
const PIECE: usize = 512;

/// Where something lies that is loaded: with the Nucleus, or in the caller's memory. Nothing is copied whole.
#[derive(Clone, Copy)]
enum Place<'a> {
    Archive(&'a [u8]),
    Memory {
        caller: Caller,
        address: u64,
        size: u64,
    },
}

impl Place<'_> {
    fn size(self) -> u64 {
        match self {
            Place::Archive(bytes) => bytes.len() as u64,
            Place::Memory { size, .. } => size,
        }
    }
}

/// A place that is being read.
struct Reader<'a, M: Machine> {
    nucleus: &'a mut Nucleus<M>,
    place: Place<'a>,
}

impl<M: Machine> Source for Reader<'_, M> {
    fn size(&self) -> u64 {
        self.place.size()
    }

    fn read(&mut self, at: u64, into: &mut [u8]) -> bool {
        match self.place {
            Place::Archive(mut bytes) => bytes.read(at, into),
            Place::Memory {
                caller,
                address,
                size,
            } => {
                let inside = at
                    .checked_add(into.len() as u64)
                    .is_some_and(|end| end <= size);
                inside
                    && address.checked_add(at).is_some_and(|from| {
                        self.nucleus
                            .read_bytes(caller.actor, caller.space, from, into)
                            .is_ok()
                    })
            }
        }
    }
}

/// What an actor is given beside its image.
struct Gift<'a> {
    args: Place<'a>,
    priority: i32,
    stack: u64,
}

impl<M: Machine> Nucleus<M> {
    /// Loads an actor of the boot archive and starts it. `args` is the rest of its line: words separated by blanks.
    ///
    /// # Errors
    /// Why the image was refused, and a detail.
    pub fn load_boot_actor(
        &mut self,
        name: &str,
        kind: i32,
        priority: i32,
        args: &str,
        image: &[u8],
    ) -> Result<Id<Actor>, Refusal> {
        const SHORT: Refusal = (LoadDiag::NoMemory, 0);
        let actor = self
            .actor_make(None, None, kind, false)
            .map_err(|_| SHORT)?;
        if let Some(actor) = self.actors.get_mut(actor) {
            actor.name = name_field(name);
            actor.priority = priority.clamp(0, 255);
        }
        let (mut block, mut used) = ([0; ARGS_MAX], 0);
        for word in core::iter::once(name).chain(args.split_ascii_whitespace()) {
            // The byte behind each word is its end.
            if used + word.len() < ARGS_MAX
                && let Some(room) = block.get_mut(used..used + word.len())
            {
                room.copy_from_slice(word.as_bytes());
                used += word.len() + 1;
            }
        }
        let gift = Gift {
            args: Place::Archive(block.get(..used).unwrap_or(&[])),
            priority: 0,
            stack: STACK,
        };
        match self.load(actor, Place::Archive(image), &gift) {
            Ok(_) => Ok(actor),
            Err(refusal) => {
                self.kill_actor(actor, End::default());
                Err(refusal)
            }
        }
    }

    /// `actorLoad`.
    pub fn actor_load(
        &mut self,
        caller: Caller,
        cap: In<KnCap>,
        load: InOut<KnLoadDesc>,
    ) -> Result<Outcome, KError> {
        self.check_writable(caller, load.address(), size_of::<KnLoadDesc>() as u64)?;
        let mut desc: KnLoadDesc = self.read(caller, In::new(load.address()))?;
        let actor = self.actor_by_cap(caller, cap)?;
        let found = self.actors.get(actor).ok_or(KError::Inval)?;
        if found.threads > 0 || found.regions.is_some() {
            return Err(KError::Busy);
        }
        if desc.image_size > IMAGE_MAX
            || desc.args_size as usize > ARGS_MAX
            || u64::from(desc.stack_size) > STACK_MAX
        {
            return Err(KError::Size);
        }
        if !(-255..=255).contains(&desc.priority) {
            return Err(KError::Inval);
        }
        let place = |address, size| Place::Memory {
            caller,
            address,
            size,
        };
        let (actor_of, space) = (caller.actor, caller.space);
        self.check_range(actor_of, space, desc.image, desc.image_size, false)?;
        self.check_range(actor_of, space, desc.args, desc.args_size.into(), false)?;
        let stack = if desc.stack_size == 0 {
            STACK
        } else {
            u64::from(desc.stack_size)
        };
        let gift = Gift {
            args: place(desc.args, desc.args_size.into()),
            priority: desc.priority,
            stack,
        };
        // In the middle of it loading cannot wait.
        let most = (desc.image_size + stack).div_ceil(PAGE_SIZE) + LOADING;
        self.room_for_many(caller.actor, most)?;
        let loaded = self.at_once(|it| it.load(actor, place(desc.image, desc.image_size), &gift));
        match loaded {
            Ok((thread, base)) => {
                (desc.diag, desc.detail, desc.base) = (0, 0, base);
                self.write(caller, Out::new(load.address()), &desc)?;
                Ok(Outcome::Done(local_identifier(thread)))
            }
            Err((diag, detail)) => {
                self.regions_free_all(actor);
                (desc.diag, desc.detail) = (diag as u32, detail);
                self.write(caller, Out::new(load.address()), &desc)?;
                Err(if diag == LoadDiag::NoMemory {
                    KError::NoMem
                } else {
                    KError::Inval
                })
            }
        }
    }

    fn reader<'a>(&'a mut self, place: Place<'a>) -> Reader<'a, M> {
        Reader {
            nucleus: self,
            place,
        }
    }

    fn load(
        &mut self,
        actor: Id<Actor>,
        image: Place<'_>,
        gift: &Gift<'_>,
    ) -> Result<(Id<Thread>, u64), Refusal> {
        const SHORT: Refusal = (LoadDiag::NoMemory, 0);
        let plan = plan(&mut self.reader(image))?;
        let (kind, space) = self
            .actors
            .get(actor)
            .map(|actor| (actor.kind, actor.space))
            .ok_or(SHORT)?;
        let supervisor = kind == K_SUPACTOR;
        if supervisor && plan.flags & NOTE_FPU != 0 {
            return Err((LoadDiag::FpuInSupervisor, 0));
        }
        for index in 0..plan.relocations.1 {
            plan.relocation(&mut self.reader(image), index)?;
        }
        for index in 0..plan.imports.1 {
            plan.import(&mut self.reader(image), index)?;
        }
        // The whole extent is taken first, so that the image lies in one piece; then each segment gets its own protection.
        let base = self
            .region_make(actor, None, None, plan.extent, K_RESERVED, (0, 0))
            .map_err(|_| SHORT)?;
        self.region_free(actor, base, base + plan.extent);
        self.fill(actor, base, &plan, image, supervisor)
            .map_err(|error| match error {
                // The caller's other threads changed the image after it was planned.
                KError::Fault => (LoadDiag::Truncated, 0),
                KError::Inval => (LoadDiag::BadRelocation, 0),
                _ => SHORT,
            })?;
        let info = self
            .start_page(actor, base, kind, gift)
            .map_err(|_| SHORT)?;
        let mut stack = 0;
        if !supervisor {
            let options = K_WRITABLE | K_FILLZERO;
            let size = gift.stack.next_multiple_of(PAGE_SIZE);
            let start = self
                .region_make(actor, None, None, size, options, (0, 0))
                .map_err(|_| SHORT)?;
            stack = start + size;
        }
        let start = Start {
            space,
            supervisor,
            entry: base + plan.entry,
            stack,
            argument: info,
        };
        let thread = self
            .thread_make(actor, supervisor, true, gift.priority, start)
            .map_err(|_| SHORT)?;
        let slot = actor.index();
        if let Some(actor) = self.actors.get_mut(actor) {
            actor.base = base;
            let name = actor.name;
            self.machine
                .image_loaded(slot, space, base, plan.extent, &name);
        }
        Ok((thread, base))
    }

    /// Makes the segments: content, relocations, import slots.
    fn fill(
        &mut self,
        actor: Id<Actor>,
        base: u64,
        plan: &Plan,
        image: Place<'_>,
        supervisor: bool,
    ) -> Result<(), KError> {
        for segment in plan.segments() {
            let (start, end) = segment.pages();
            let options = if segment.write { K_WRITABLE } else { 0 }
                | if segment.execute { K_EXECUTABLE } else { 0 };
            self.region_make(
                actor,
                Some(base + start),
                None,
                end - start,
                options,
                (0, 0),
            )?;
            self.put_from(
                actor,
                base + segment.address,
                image,
                segment.offset,
                segment.file_size,
            )?;
        }
        for index in 0..plan.relocations.1 {
            let (place, addend) = plan
                .relocation(&mut self.reader(image), index)
                .map_err(|_| KError::Inval)?;
            self.put(
                actor,
                base + place,
                &base.wrapping_add(addend).to_le_bytes(),
            )?;
        }
        for index in 0..plan.imports.1 {
            let (slot, number) = plan
                .import(&mut self.reader(image), index)
                .map_err(|_| KError::Inval)?;
            let address = self.machine.call_address(supervisor, number);
            self.put(actor, base + slot, &address.to_le_bytes())?;
        }
        Ok(())
    }

    /// Writes into an actor's pages whatever their protection, by their frames.
    fn put(&mut self, actor: Id<Actor>, address: u64, bytes: &[u8]) -> Result<(), KError> {
        let space = self.actors.get(actor).ok_or(KError::Inval)?.space;
        let mut done = 0;
        while done < bytes.len() {
            let at = address + done as u64;
            let offset = (at & (PAGE_SIZE - 1)) as usize;
            let count = (PAGE_SIZE as usize - offset).min(bytes.len() - done);
            let page = at & !(PAGE_SIZE - 1);
            if self.machine.translate(space, page).is_none() {
                self.touch(actor, at, false, false)
                    .map_err(|_| KError::NoMem)?;
            }
            let (frame, _) = self.machine.translate(space, page).ok_or(KError::NoMem)?;
            self.machine
                .frame_write(frame, offset, bytes.get(done..done + count).unwrap_or(&[]));
            done += count;
        }
        Ok(())
    }

    /// The same from a place. Errors: also `K_EFAULT`, it is not there any more.
    fn put_from(
        &mut self,
        actor: Id<Actor>,
        address: u64,
        from: Place<'_>,
        offset: u64,
        size: u64,
    ) -> Result<(), KError> {
        let mut piece = [0; PIECE];
        let mut done = 0;
        while done < size {
            let count = (size - done).min(PIECE as u64) as usize;
            let bytes = piece.get_mut(..count).ok_or(KError::Inval)?;
            if !self.reader(from).read(offset + done, bytes) {
                return Err(KError::Fault);
            }
            self.put(actor, address + done, bytes)?;
            done += count as u64;
        }
        Ok(())
    }

    /// The page with [`StartInfo`] and the arguments; its address.
    fn start_page(
        &mut self,
        actor: Id<Actor>,
        base: u64,
        kind: i32,
        gift: &Gift<'_>,
    ) -> Result<u64, KError> {
        let start = self.region_make(actor, None, None, PAGE_SIZE, 0, (0, 0))?;
        let args = start + 64;
        let configuration = self.configuration;
        let mut info = [0u8; 64];
        let mut at = 0;
        let mut field = |bytes: &[u8]| {
            if let Some(part) = info.get_mut(at..at + bytes.len()) {
                part.copy_from_slice(bytes);
            }
            at += bytes.len();
        };
        field(&ABI_VERSION.to_le_bytes());
        field(&kind.to_le_bytes());
        field(&u32::from(configuration.site).to_le_bytes());
        field(&u32::from(configuration.sites).to_le_bytes());
        field(&args.to_le_bytes());
        field(&gift.args.size().to_le_bytes());
        field(&base.to_le_bytes());
        field(&u32::from(configuration.epoch).to_le_bytes());
        field(&(configuration.cpus as u32).to_le_bytes());
        self.put(actor, start, &info)?;
        self.put_from(actor, args, gift.args, 0, gift.args.size())?;
        Ok(start)
    }
}
