//! Objects of the program that graphs keep alive: a destructor, which is called when the last reference goes.

use super::driver::{Driver, call};
use super::error::{CUresult, Result, refused};
use super::types::{CUgraph, CUuserObject, Out};
use super::work::{HostFunction, as_host_function};

/// An object and who refers to it.
#[derive(Debug)]
pub struct UserObject {
    data: usize,
    destroy: HostFunction,
    /// References of the program.
    references: u32,
    /// References of graphs.
    graphs: Vec<(CUgraph, u32)>,
}

/// The flag that the destructor does not wait for anything, which every object must have.
const NO_DESTRUCTOR_SYNC: u32 = 1;
/// The flag that a graph takes references of the program over.
const MOVE: u32 = 1;

impl Driver {
    fn user_object(&mut self, handle: CUuserObject) -> Result<&mut UserObject> {
        match self.user_objects.get_mut(&handle) {
            Some(object) => Ok(object),
            None => refused(CUresult::INVALID_VALUE, "no such user object, or its last reference is gone"),
        }
    }

    /// Calls the destructors of objects without references.
    fn destroy_unreferenced(&mut self) {
        let is_over = |object: &UserObject| object.references == 0 && object.graphs.is_empty();
        let over: Vec<_> = self.user_objects.extract_if(|_, object| is_over(object)).collect();
        for (_, object) in over {
            // SAFETY: the program gave the function and its argument for this call.
            let destroy = || unsafe { (object.destroy)(object.data as *mut std::ffi::c_void) };
            self.unlocked(|| as_host_function(destroy));
        }
    }

    /// Takes the references of a graph that ends away.
    pub fn release_objects_of_graph(&mut self, graph: CUgraph) {
        for object in self.user_objects.values_mut() {
            object.graphs.retain(|(other, _)| *other != graph);
        }
        self.destroy_unreferenced();
    }
}

/// Makes an object with so many references of the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuUserObjectCreate(
    object: Out<CUuserObject>,
    data: Out<u8>,
    destroy: Option<HostFunction>,
    references: u32,
    flags: u32,
) -> CUresult {
    call("cuUserObjectCreate", |driver| {
        let Some(destroy) = destroy.filter(|_| flags == NO_DESTRUCTOR_SYNC && references > 0) else {
            return refused(CUresult::INVALID_VALUE, "no destructor, no reference, or flags other than 1");
        };
        let handle = CUuserObject(driver.new_handle());
        let made = UserObject { data: data.address(), destroy, references, graphs: Vec::new() };
        driver.user_objects.insert(handle, made);
        object.set(handle)
    })
}

/// Adds references of the program.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuUserObjectRetain(object: CUuserObject, count: u32) -> CUresult {
    call("cuUserObjectRetain", |driver| {
        driver.user_object(object)?.references += count;
        Ok(())
    })
}

/// Takes references of the program away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuUserObjectRelease(object: CUuserObject, count: u32) -> CUresult {
    call("cuUserObjectRelease", |driver| {
        let known = driver.user_object(object)?;
        let Some(left) = known.references.checked_sub(count) else {
            return refused(CUresult::INVALID_VALUE, "more references than the program has");
        };
        known.references = left;
        driver.destroy_unreferenced();
        Ok(())
    })
}

/// Adds references of a graph, or hands some of the program over to it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphRetainUserObject(
    graph: CUgraph,
    object: CUuserObject,
    count: u32,
    flags: u32,
) -> CUresult {
    call("cuGraphRetainUserObject", |driver| {
        driver.graph(graph)?;
        let known = driver.user_object(object)?;
        if flags & MOVE != 0 {
            let Some(left) = known.references.checked_sub(count) else {
                return refused(CUresult::INVALID_VALUE, "more references than the program has");
            };
            known.references = left;
        }
        match known.graphs.iter_mut().find(|(other, _)| *other == graph) {
            Some((_, references)) => *references += count,
            None => known.graphs.push((graph, count)),
        }
        Ok(())
    })
}

/// Takes references of a graph away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGraphReleaseUserObject(graph: CUgraph, object: CUuserObject, count: u32) -> CUresult {
    call("cuGraphReleaseUserObject", |driver| {
        let known = driver.user_object(object)?;
        match known.graphs.iter_mut().find(|(other, references)| *other == graph && *references >= count) {
            Some((_, references)) => *references -= count,
            None => return refused(CUresult::INVALID_VALUE, "more references than the graph has"),
        }
        known.graphs.retain(|(_, references)| *references > 0);
        driver.destroy_unreferenced();
        Ok(())
    })
}

super::exports![
    cuUserObjectCreate,
    cuUserObjectRetain,
    cuUserObjectRelease,
    cuGraphRetainUserObject,
    cuGraphReleaseUserObject,
];
