import {
  type AnyPatch,
  PatchSet,
  patchReasons,
  type Reason,
  reapplyPatches,
  stockOf,
  withdraw,
} from './patches.js';

type Say = () => string;

/** A slot with a function that says what lies in it, from the outside in. */
function slotWith(key: string, stock: Say | undefined) {
  const state = {value: stock, ready: true};
  const slot = {
    key,
    read: () => state.value,
    write: (value: Say | undefined) => {
      state.value = value;
    },
    ready: () => state.ready,
  };
  const patch = (reason: Reason): AnyPatch => ({
    slot,
    reason,
    make: (inner: Say | undefined) => inner && (() => `${reason} of ${inner()}`),
  });
  return {state, slot, patch, says: () => state.value?.()};
}

const stock = () => 'stock';

test('several reasons are layers in one order, whoever comes first, and each goes alone', () => {
  const {slot, patch, says, state} = slotWith('order', stock);
  const [late, early] = [
    new PatchSet('a', () => [patch('shapes')]),
    new PatchSet('b', () => [patch('dtype')]),
  ];
  late.apply();
  early.apply();
  early.apply();
  expect(says()).toBe('shapes of dtype of stock');
  expect(patchReasons(state.value)).toEqual(['dtype', 'shapes']);
  expect(stockOf(slot)).toBe(stock);
  late.restore();
  expect(says()).toBe('dtype of stock');
  early.restore();
  expect(state.value).toBe(stock);
  expect(patchReasons(state.value)).toEqual([]);
});

test('what two entry points want stays until neither does, or it is withdrawn', () => {
  const {patch, says} = slotWith('owners', stock);
  const [one, two] = ['one', 'two'].map((owner) => new PatchSet(owner, () => [patch('training')])) as [
    PatchSet,
    PatchSet,
  ];
  one.apply();
  two.apply();
  one.restore();
  expect(says()).toBe('training of stock');
  two.restore();
  expect(says()).toBe('stock');
  one.apply();
  two.apply();
  withdraw(patch('training'));
  expect(says()).toBe('stock');
});

test('it waits until there is something to stand in front of, and comes back where tfjs writes over it', () => {
  const {state, patch, says} = slotWith('late', undefined);
  const ours = new PatchSet('late', () => [patch('value')]);
  state.ready = false;
  ours.apply();
  state.value = stock;
  reapplyPatches();
  expect(says()).toBe('stock');
  state.ready = true;
  reapplyPatches();
  expect(says()).toBe('value of stock');
  const second = () => 'second stock';
  state.value = second;
  reapplyPatches();
  expect(says()).toBe('value of second stock');
  ours.restore();
  expect(state.value).toBe(second);
});

test('what somebody else has put over ours is left alone', () => {
  const {state, patch, says} = slotWith('foreign', stock);
  const ours = new PatchSet('foreign', () => [patch('bounds')]);
  ours.apply();
  const inner = state.value!;
  state.value = () => `theirs of ${inner()}`;
  ours.restore();
  expect(says()).toBe('theirs of bounds of stock');
});
