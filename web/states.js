// What the page says when there is no picture to show: a title, what happened, and what to do next.

import { sentence } from "./words.js";

/**
 * @typedef {object} StateWords
 * @property {string} title
 * @property {string} text
 * @property {string} action label of the button, "" for none.
 * @property {string} note
 * @property {boolean} busy whether the page only has to wait.
 */

/**
 * @param {string} name
 * @param {{reason?: string, seconds?: number, host?: string}} facts
 * @returns {StateWords}
 */
export function stateWords(name, { reason = "", seconds = 0, host = "" } = {}) {
  const again = seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again…";
  /** @type {Record<string, Partial<StateWords>>} */
  const states = {
    start: {
      title: "Your face, edited live",
      text: "Allow the camera, pick a look, and see it on yourself while you talk.",
      action: "Start camera",
    },
    asking: { title: "Allow the camera", text: "Your browser is asking for it now. Choose Allow to go on.", busy: true },
    connecting: { title: "Connecting", text: "Setting up the video with the server.", busy: true },
    loading: { title: "Reaching the server", text: "Asking which editors it has.", busy: true },
    denied: {
      title: "The camera is blocked",
      text: "Open the camera permission next to the address bar, choose Allow, and this page goes on. Your system's privacy settings can block it too.",
      action: "Try again",
    },
    "no-camera": {
      title: "No camera found",
      text: "Plug one in or switch it on. This page goes on by itself when it appears.",
      action: "Look again",
    },
    "no-match": {
      title: "That camera is not there",
      text: "The camera chosen last time is not connected.",
      action: "Use the default camera",
    },
    "bad-file": {
      title: "This file cannot be shown",
      text: "Choose a picture, or a clip that this browser can play.",
      action: "Start camera",
    },
    busy: {
      title: "The camera is in use",
      text: "Another app or tab has it. Close that one, then try again.",
      action: "Try again",
    },
    ended: {
      title: "The camera stopped",
      text: "It was unplugged, or the system took it away.",
      action: "Start it again",
    },
    insecure: {
      title: "This page may not use the camera",
      text: `Browsers allow the camera only on https:// pages and on this computer itself. ${host} is neither: open it through https://, or as http://127.0.0.1 on the machine that runs the server.`,
    },
    unsupported: { title: "This browser cannot do live video", text: "It has no WebRTC. A current Chrome, Edge, Firefox or Safari has." },
    full: {
      title: "The server is full",
      text: `${sentence(reason) || "Every place is taken."} ${again}`,
      action: "Try now",
    },
    lost: { title: "Connection lost", text: `Your settings are kept. ${again}`, action: "Try now" },
    silent: { title: "Connection lost", text: "No picture comes from the server. Waiting for it…", busy: true },
    unreachable: { title: "The server does not answer", text: `${sentence(reason)} ${again}`.trim(), action: "Try now" },
    refused: { title: "The server said no", text: sentence(reason), action: "Try again" },
    token: { title: "This server asks for a token", text: "Whoever runs it can tell you. It is kept for this tab only." },
    "wrong-token": { title: "That token was not accepted", text: "Check it and try again." },
    idle: { title: "Resting", text: "No video came for a while, so the server let go of the session.", action: "Go on" },
    "output-unknown": {
      title: "Nobody sends this stream",
      text: "In the page of Latentcam: press Start camera, and switch on the output under Use in a call. Switched off and on again, it has another address: copy it anew.",
      busy: true,
    },
    "output-away": { title: "The server does not answer", text: "Start Latentcam on the machine that this address names. This source goes on by itself.", busy: true },
    "output-token": { title: "The token is missing", text: "Copy the whole address from the page, with #token= at its end." },
    "output-full": { title: "The server lets nobody else watch", text: "All its places for viewers are taken. This source goes on when one is free.", busy: true },
    "output-refused": { title: "The server does not let this be watched", text: sentence(reason), busy: true },
    closed: { title: "The server ended the session", text: sentence(reason), action: "Connect again" },
  };
  const note = name === "start" ? "Nothing is sent before you press the button." : "";
  return { title: "", text: "", action: "", note, busy: false, ...states[name] };
}
