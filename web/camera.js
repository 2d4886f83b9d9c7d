// The local camera and microphone: asking for them, and saying in one word why they cannot be had.

const FRAME_RATE = 30;

export class CameraError extends Error {
  /**
   * @param {"insecure"|"denied"|"no-camera"|"busy"|"no-match"|"bad-file"} problem
   * @param {unknown} [cause]
   */
  constructor(problem, cause) {
    super(problem, { cause });
    this.problem = problem;
  }
}

/** Whether this page may ask for a camera: browsers let only those on https and localhost. */
export function mayUseCamera() {
  return typeof navigator.mediaDevices?.getUserMedia === "function";
}

/**
 * @typedef {{deviceId: string, width: number, height: number, sound: boolean}} Wish an empty deviceId means the default
 *   (front) camera; sound asks for the microphone as well.
 */

/**
 * Open the camera. A microphone that is missing or blocked does not cost the picture.
 *
 * @param {Wish} wish
 * @returns {Promise<MediaStream>} a stream with one video track, and one audio track if there can be sound.
 * @throws {CameraError}
 */
export async function openCamera(wish) {
  if (!wish.sound) return open(wish);
  try {
    return await open(wish);
  } catch {
    return open({ ...wish, sound: false });
  }
}

/** @param {Wish} wish */
async function open({ deviceId, width, height, sound }) {
  if (!mayUseCamera()) throw new CameraError("insecure");
  /** @type {MediaTrackConstraints} */
  const video = { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: FRAME_RATE, max: FRAME_RATE } };
  if (deviceId) video.deviceId = { exact: deviceId };
  else video.facingMode = "user";
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video, audio: sound });
    // "motion": when bits are short, keep the frame rate of a talking face rather than the detail of a slide.
    for (const track of stream.getVideoTracks()) track.contentHint = "motion";
    return stream;
  } catch (error) {
    throw new CameraError(problemOf(error), error);
  }
}

/** @param {unknown} error of getUserMedia. */
function problemOf(error) {
  switch (error instanceof Error ? error.name : "") {
    case "NotAllowedError":
    case "SecurityError":
      return "denied";
    case "NotFoundError":
      return "no-camera";
    case "OverconstrainedError":
      return "no-match";
    default:
      return "busy";
  }
}

/**
 * Call back whenever the user gives the permission, where the browser tells.
 *
 * @param {() => void} onAllowed
 */
export async function onCameraAllowed(onAllowed) {
  try {
    const permission = await navigator.permissions.query({ name: /** @type {PermissionName} */ ("camera") });
    permission.addEventListener("change", () => permission.state === "granted" && onAllowed());
  } catch {
    // This browser does not tell: there is the button.
  }
}

/** @returns {Promise<{id: string, label: string}[]>} labels are empty until the camera was allowed once. */
export async function listCameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices
    .filter((device) => device.kind === "videoinput" && device.deviceId)
    .map((device, index) => ({ id: device.deviceId, label: device.label || `Camera ${index + 1}` }));
}

/** @param {MediaStream|null} stream */
export function stopStream(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
