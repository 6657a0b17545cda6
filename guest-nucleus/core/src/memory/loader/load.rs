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

/// Pieces and records that are loaded in one step, and pages of an image that are looked at.
const EFFORT: u32 = 12;
const CHECKED: u64 = 32;

/// Where a loading is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    CheckRelocations,
    CheckImports,
    Segment(usize),
    Relocations,
    Imports,
    Start,
}

/// An actor that is being loaded, in steps. Nobody else changes its memory meanwhile.
#[derive(Clone, Copy, Debug)]
pub(in crate::memory) struct Loading {
    actor: Id<Actor>,
    plan: Plan,
    base: u64,
    phase: Phase,
    /// Records of the phase that are done, or bytes.
    at: u64,
}

/// Why a loading does not begin.
enum Trouble {
    Call(KError),
    Image(Refusal),
}

impl From<KError> for Trouble {
    fn from(error: KError) -> Self {
        Trouble::Call(error)
    }
}

/// What the caller is told of an error in the middle.
fn refusal(error: KError) -> Refusal {
    match error {
        // The caller's other threads changed the image after it was planned.
        KError::Fault => (LoadDiag::Truncated, 0),
        KError::Inval => (LoadDiag::BadRelocation, 0),
        _ => (LoadDiag::NoMemory, 0),
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
        match self.load_at_once(actor, Place::Archive(image), &gift) {
            Ok(()) => Ok(actor),
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
        let begun = self.memory.mappers.loading;
        let begun = begun.filter(|&id| self.loading_of(id) == Some(actor));
        let found = self.actors.get(actor).ok_or(KError::Inval)?;
        if begun.is_none() && (found.threads > 0 || found.regions.is_some() || found.loading) {
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
        let image = place(desc.image, desc.image_size);
        let begun = match begun {
            Some(begun) => Ok(begun),
            None => self.load_begins(caller, actor, (desc.image, desc.image_size), &gift),
        };
        // What the steps took is kept with the thread, and goes with it.
        let loaded = match begun {
            Ok(id) => self.load_on(id, image, &gift),
            Err(Trouble::Call(error)) => return Err(error),
            Err(Trouble::Image(refusal)) => Err(refusal),
        };
        match loaded {
            Ok(Some((thread, base))) => {
                self.memory.mappers.loading = None;
                (desc.diag, desc.detail, desc.base) = (0, 0, base);
                self.write(caller, Out::new(load.address()), &desc)?;
                Ok(Outcome::Done(local_identifier(thread)))
            }
            Ok(None) => Err(self.pause(1)),
            // A page of the image has left memory meanwhile: it comes back.
            Err(_) if self.is_awaiting() => Err(KError::Fault),
            Err((diag, detail)) => {
                self.loading_release();
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

    /// Checks what the caller says and makes a plan.
    fn load_begins(
        &mut self,
        caller: Caller,
        actor: Id<Actor>,
        (image, size): (u64, u64),
        gift: &Gift<'_>,
    ) -> Result<Id<Loading>, Trouble> {
        let (of, space) = (caller.actor, caller.space);
        let done = self.memory.mappers.progress;
        for index in done..size.div_ceil(PAGE_SIZE) {
            if index - done >= CHECKED {
                return Err(Trouble::Call(self.pause(index)));
            }
            let at = index * PAGE_SIZE;
            let piece = (size - at).min(PAGE_SIZE);
            let from = image.checked_add(at).ok_or(KError::Fault)?;
            self.check_range(of, space, from, piece, false)
                .inspect_err(|_| self.memory.mappers.progress = index)?;
        }
        if let Place::Memory { address, size, .. } = gift.args {
            self.check_range(of, space, address, size, false)?;
        }
        let most = (size + gift.stack).div_ceil(PAGE_SIZE) + LOADING;
        self.room_for_many(of, most)?;
        if !self.memory.loadings.has_room() {
            return Err(Trouble::Call(KError::NoMem));
        }
        let place = Place::Memory {
            caller,
            address: image,
            size,
        };
        let loading = self.plan_of(actor, place).map_err(Trouble::Image)?;
        let id = self.memory.loadings.insert(loading).ok_or(KError::NoMem)?;
        if let Some(actor) = self.actors.get_mut(actor) {
            actor.loading = true;
        }
        self.memory.mappers.loading = Some(id);
        Ok(id)
    }

    /// A step of a loading that is kept.
    fn load_on(
        &mut self,
        id: Id<Loading>,
        image: Place<'_>,
        gift: &Gift<'_>,
    ) -> Result<Option<(Id<Thread>, u64)>, Refusal> {
        let Some(mut loading) = self.memory.loadings.get(id).copied() else {
            return Err((LoadDiag::NoMemory, 0));
        };
        let mut effort = EFFORT;
        let result = self.at_once(|it| it.load_step(&mut loading, image, gift, &mut effort));
        if let Some(entry) = self.memory.loadings.get_mut(id) {
            *entry = loading;
        }
        if matches!(result, Ok(Some(_))) {
            self.loading_over(id);
        }
        result
    }

    /// The actor of a loading that is under way.
    fn loading_of(&self, id: Id<Loading>) -> Option<Id<Actor>> {
        Some(self.memory.loadings.get(id)?.actor)
    }

    /// A loading has come to its end: the actor is like any other.
    fn loading_over(&mut self, id: Id<Loading>) -> Option<Id<Actor>> {
        let loading = self.memory.loadings.remove(id)?;
        let actor = self.actors.get_mut(loading.actor)?;
        actor.loading = false;
        Some(loading.actor).filter(|_| !actor.dying)
    }

    /// The loading of the call under way, or of one that will not go on, comes to nothing.
    pub(in crate::memory) fn loading_release(&mut self) {
        if let Some(id) = self.memory.mappers.loading.take()
            && let Some(actor) = self.loading_over(id)
        {
            self.regions_free_all(actor);
        }
    }

    fn reader<'a>(&'a mut self, place: Place<'a>) -> Reader<'a, M> {
        Reader {
            nucleus: self,
            place,
        }
    }

    /// Loads an image in one go: at boot nobody waits.
    fn load_at_once(
        &mut self,
        actor: Id<Actor>,
        image: Place<'_>,
        gift: &Gift<'_>,
    ) -> Result<(), Refusal> {
        let mut loading = self.plan_of(actor, image)?;
        while self
            .load_step(&mut loading, image, gift, &mut u32::MAX.clone())?
            .is_none()
        {}
        Ok(())
    }

    fn plan_of(&mut self, actor: Id<Actor>, image: Place<'_>) -> Result<Loading, Refusal> {
        let plan = plan(&mut self.reader(image))?;
        let kind = self.actors.get(actor).map(|actor| actor.kind);
        if kind == Some(K_SUPACTOR) && plan.flags & NOTE_FPU != 0 {
            return Err((LoadDiag::FpuInSupervisor, 0));
        }
        Ok(Loading {
            actor,
            plan,
            base: 0,
            phase: Phase::CheckRelocations,
            at: 0,
        })
    }

    /// Does as much of a loading as the effort allows; the thread and the address, when all is done.
    fn load_step(
        &mut self,
        loading: &mut Loading,
        image: Place<'_>,
        gift: &Gift<'_>,
        effort: &mut u32,
    ) -> Result<Option<(Id<Thread>, u64)>, Refusal> {
        let plan = loading.plan;
        while let Some(left) = effort.checked_sub(1) {
            *effort = left;
            let (actor, at) = (loading.actor, loading.at);
            let count = match loading.phase {
                Phase::CheckRelocations | Phase::Relocations => plan.relocations.1,
                Phase::CheckImports | Phase::Imports => plan.imports.1,
                Phase::Segment(index) => plan.segments().get(index).map_or(0, |it| it.file_size),
                Phase::Start => {
                    return self.load_end(loading, gift).map(Some);
                }
            };
            if at >= count {
                self.next_phase(loading)?;
                continue;
            }
            loading.at = at
                + match loading.phase {
                    Phase::CheckRelocations => {
                        plan.relocation(&mut self.reader(image), at)?;
                        1
                    }
                    Phase::CheckImports => {
                        plan.import(&mut self.reader(image), at)?;
                        1
                    }
                    Phase::Segment(index) => {
                        let segment = plan.segments().get(index).copied().unwrap_or_default();
                        let piece = (count - at).min(PIECE as u64);
                        let (to, from) = (loading.base + segment.address + at, segment.offset + at);
                        self.put_from(actor, to, image, from, piece)
                            .map_err(refusal)?;
                        piece
                    }
                    Phase::Relocations => {
                        // The caller's other threads may have changed it since it was looked at.
                        let (place, addend) = plan.relocation(&mut self.reader(image), at)?;
                        let value = loading.base.wrapping_add(addend).to_le_bytes();
                        self.put(actor, loading.base + place, &value)
                            .map_err(refusal)?;
                        1
                    }
                    Phase::Imports => {
                        let (slot, number) = plan.import(&mut self.reader(image), at)?;
                        let supervisor =
                            self.actors.get(actor).map(|it| it.kind) == Some(K_SUPACTOR);
                        let address = self.machine.call_address(supervisor, number);
                        self.put(actor, loading.base + slot, &address.to_le_bytes())
                            .map_err(refusal)?;
                        1
                    }
                    Phase::Start => 1,
                };
        }
        Ok(None)
    }

    /// All of a phase is done; what the next needs is made.
    fn next_phase(&mut self, loading: &mut Loading) -> Result<(), Refusal> {
        let (actor, plan) = (loading.actor, loading.plan);
        let next = match loading.phase {
            Phase::CheckRelocations => Phase::CheckImports,
            Phase::CheckImports => {
                // The whole extent is taken first, so that the image lies in one piece; then each segment gets its own protection.
                let made = self.region_make(actor, None, None, plan.extent, K_RESERVED, (0, 0));
                loading.base = made.map_err(refusal)?;
                self.region_free(actor, loading.base, loading.base + plan.extent);
                self.segments_make(actor, loading.base, &plan)
                    .map_err(refusal)?;
                Phase::Segment(0)
            }
            Phase::Segment(index) if index + 1 < plan.count => Phase::Segment(index + 1),
            Phase::Segment(_) => Phase::Relocations,
            Phase::Relocations => Phase::Imports,
            Phase::Imports | Phase::Start => Phase::Start,
        };
        (loading.phase, loading.at) = (next, 0);
        Ok(())
    }

    /// Makes the regions of all segments.
    fn segments_make(&mut self, actor: Id<Actor>, base: u64, plan: &Plan) -> Result<(), KError> {
        for segment in plan.segments() {
            let (start, end) = segment.pages();
            let options = if segment.write { K_WRITABLE } else { 0 }
                | if segment.execute { K_EXECUTABLE } else { 0 };
            let place = Some(base + start);
            self.region_make(actor, place, None, end - start, options, (0, 0))?;
        }
        Ok(())
    }

    /// Start page, stack and first thread.
    fn load_end(
        &mut self,
        loading: &Loading,
        gift: &Gift<'_>,
    ) -> Result<(Id<Thread>, u64), Refusal> {
        let Loading {
            actor, base, plan, ..
        } = *loading;
        let found = self.actors.get(actor).map(|it| (it.kind, it.space));
        let (kind, space) = found.ok_or((LoadDiag::NoMemory, 0))?;
        let supervisor = kind == K_SUPACTOR;
        let info = self.start_page(actor, base, kind, gift).map_err(refusal)?;
        let mut stack = 0;
        if !supervisor {
            let options = K_WRITABLE | K_FILLZERO;
            let size = gift.stack.next_multiple_of(PAGE_SIZE);
            let start = self
                .region_make(actor, None, None, size, options, (0, 0))
                .map_err(refusal)?;
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
            .map_err(refusal)?;
        let slot = actor.index();
        if let Some(actor) = self.actors.get_mut(actor) {
            actor.base = base;
            let name = actor.name;
            self.machine
                .image_loaded(slot, space, base, plan.extent, &name);
        }
        Ok((thread, base))
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
        let written = self
            .put(actor, start, &info)
            .and_then(|()| self.put_from(actor, args, gift.args, 0, gift.args.size()));
        match written {
            Ok(()) => Ok(start),
            // The arguments may have left memory: then all this is made again.
            Err(error) => {
                self.region_free(actor, start, start + PAGE_SIZE);
                Err(error)
            }
        }
    }
}
