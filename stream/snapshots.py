"""A snapshot of the caller, and the job that inverts it."""

from __future__ import annotations

from functools import partial

from models.arrays import Image
from models.locking import invert_snapshot, latent_networks
from stream.locks import Lock
from stream.photos import cut_face, face_of
from stream.runtime import Runtime
from stream.settings import Settings, SettingsError


def start(runtime: Runtime, session: str, editor: str, photo: Image) -> Lock:
    """Lock an editor to the largest face of a photo, in the background.

    Args:
        runtime: the loaded networks.
        session: whose lock it is.
        editor: its name.
        photo: (H, W, 3) uint8 BGR.

    Raises:
        SettingsError: the editor cannot run here, or moves no latent.
        PhotoError: there is no face.
        LocksBusy: enough snapshots are waiting.
    """
    chosen = runtime.look(Settings(), {"editor": editor}).layers[0].editor
    entry = runtime.entries[editor]
    if latent_networks(entry) is None:
        raise SettingsError("editor", f"{editor} moves no latent that could be locked")
    face = face_of(runtime, photo)
    crop = cut_face(photo, face, chosen.crop)
    return runtime.locks.start(session, editor, partial(invert_snapshot, entry, crop.image))
