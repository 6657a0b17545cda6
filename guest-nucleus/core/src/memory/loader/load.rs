//! Carrying out a plan: `actorLoad`, and the actors of the boot archive.

use super::plan::{Plan, Refusal, plan};
use crate::arena::Id;
use crate::executive::actor::{Actor, End};
use crate::executive::thread::{Thread, local_identifier};
use crate::machine::{Machine, Start};
use crate::nucleus::{Caller, Nucleus, Outcome};
use alloc::vec::Vec;
use chorus_abi::image::*;
use chorus_abi::*;

/// Stack of a first thread when nothing else is asked for.
const STACK: u64 = 64 << 10;
/// Largest stack of a first thread.
const STACK_MAX: u64 = 16 << 20;

/// What an actor is given beside its image.
struct Gift<'a> {
    args: &'a [u8],
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
        let mut block = Vec::new();
        for word in core::iter::once(name).chain(args.split_ascii_whitespace()) {
            if block.len() + word.len() < ARGS_MAX {
                block.extend_from_slice(word.as_bytes());
                block.push(0);
            }
        }
        let gift = Gift {
            args: &block,
            priority: 0,
            stack: STACK,
        };
        match self.load(actor, image, &gift) {
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
        let mut image = self.bytes_of(caller, desc.image, desc.image_size as usize)?;
        let args = self.bytes_of(caller, desc.args, desc.args_size as usize)?;
        let stack = if desc.stack_size == 0 {
            STACK
        } else {
            u64::from(desc.stack_size)
        };
        let gift = Gift {
            args: &args,
            priority: desc.priority,
            stack,
        };
        let outcome = self.load(actor, &image, &gift);
        image.clear();
        match outcome {
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

    /// A copy of the caller's bytes. Errors: `K_EFAULT`, `K_ENOMEM`.
    fn bytes_of(&mut self, caller: Caller, address: u64, size: usize) -> Result<Vec<u8>, KError> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| KError::NoMem)?;
        bytes.resize(size, 0);
        self.read_bytes(caller.actor, caller.space, address, &mut bytes)?;
        Ok(bytes)
    }

    fn load(
        &mut self,
        actor: Id<Actor>,
        image: &[u8],
        gift: &Gift<'_>,
    ) -> Result<(Id<Thread>, u64), Refusal> {
        const SHORT: Refusal = (LoadDiag::NoMemory, 0);
        let plan = plan(image)?;
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
            plan.relocation(image, index)?;
        }
        for index in 0..plan.imports.1 {
            plan.import(image, index)?;
        }
        // The whole extent is taken first, so that the image lies in one piece; then each segment gets its own protection.
        let base = self
            .region_make(actor, None, None, plan.extent, K_RESERVED, (0, 0))
            .map_err(|_| SHORT)?;
        self.region_free(actor, base, base + plan.extent);
        self.fill(actor, base, &plan, image, supervisor)
            .map_err(|_| SHORT)?;
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
        Ok((thread, base))
    }

    /// Makes the segments: content, relocations, import slots.
    fn fill(
        &mut self,
        actor: Id<Actor>,
        base: u64,
        plan: &Plan,
        image: &[u8],
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
            let from = segment.offset as usize;
            let bytes = image
                .get(from..from + segment.file_size as usize)
                .ok_or(KError::Inval)?;
            self.put(actor, base + segment.address, bytes)?;
        }
        for index in 0..plan.relocations.1 {
            let (place, addend) = plan.relocation(image, index).map_err(|_| KError::Inval)?;
            self.put(
                actor,
                base + place,
                &base.wrapping_add(addend).to_le_bytes(),
            )?;
        }
        for index in 0..plan.imports.1 {
            let (slot, number) = plan.import(image, index).map_err(|_| KError::Inval)?;
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
            self.touch(actor, at, false, false)
                .map_err(|_| KError::NoMem)?;
            let (frame, _) = self
                .machine
                .translate(space, at & !(PAGE_SIZE - 1))
                .ok_or(KError::NoMem)?;
            self.machine
                .frame_write(frame, offset, bytes.get(done..done + count).unwrap_or(&[]));
            done += count;
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
        field(&(gift.args.len() as u64).to_le_bytes());
        field(&base.to_le_bytes());
        field(&u32::from(configuration.epoch).to_le_bytes());
        field(&(configuration.cpus as u32).to_le_bytes());
        self.put(actor, start, &info)?;
        self.put(actor, args, gift.args)?;
        Ok(start)
    }
}
