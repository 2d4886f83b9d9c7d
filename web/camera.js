// The local camera and microphone: asking for them, and saying in one word why they cannot be had.

const FRAME_RATE = 30;

export class CameraError extends Error {
  /** @param {"insecure"|"denied"|"no-camera"|"busy"|"no-match"} problem */
  constructor(problem, cause) {
    super(problem, { cause });
    this.problem = problem;
  }
}

/**
 * Open the camera.
 * @param {{deviceId: string, width: number, height: number, sound: boolean}} wish an empty deviceId means the default
 *   (front) camera; sound asks for the microphone as well.
 * @returns {Promise<MediaStream>} a stream with one video track, and one audio track if there is to be sound.
 * @throws {CameraError}
 */
export async function openCamera({ deviceId, width, height, sound }) {
  // Browsers hide getUserMedia on pages that are neither https nor localhost.
  if (!navigator.mediaDevices?.getUserMedia) throw new CameraError("insecure");
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

function problemOf(error) {
  switch (error.name) {
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

/** @returns {Promise<{id: string, label: string}[]>} labels are empty until the camera was allowed once. */
export async function listCameras() {
  const devices = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  return devices
    .filter((device) => device.kind === "videoinput" && device.deviceId)
    .map((device, index) => ({ id: device.deviceId, label: device.label || `Camera ${index + 1}` }));
}

export function stopStream(stream) {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
