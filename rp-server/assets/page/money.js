// Do the books balance? The server says so; this shows its word as colour, shape and text, and by how much they do not.

import { put } from "./fields.js";
import { GAP, count, yuan } from "./words.js";

/** Figures are exact up to 2^53 fen: ninety trillion yuan. */
export function tellMoney({ status: { money } }) {
  const held = money.users_fen + money.packets_fen + money.campaign_fen + money.transit_fen;
  const ended = money.taken.fen + money.refunded.fen + money.open.fen;
  put(document.querySelector("#held-yuan"), yuan(held));
  put(document.querySelector("#held-fen"), count(held));
  const books = document.querySelector("#books");
  books.dataset.balanced = String(money.balanced);
  document.querySelector("#books-sign").className = money.balanced ? "sign good" : "sign bad";
  const off = [
    [money.issued_fen - held, "issued, less all that is held"],
    [money.made.fen - ended, "made, less taken, refunded and open"],
  ].filter(([fen]) => fen !== 0).map(([fen, what]) => `${what}: ${count(fen)}${GAP}fen`);
  const words = () => (money.balanced ? `${yuan(money.issued_fen)} yuan issued, as much held` : "the server says so");
  put(document.querySelector("#books-more"), off.length > 0 ? off.join("; ") : words());
}
