import type { IIdle } from '../../api/idle';
import { IdleModel } from '../idle';

const WORK: IIdle = {
  minutes: 30,
  stage: 'work',
  seconds_left: 1800,
  look_again_seconds: 30
};
const NEAR: IIdle = {
  minutes: 30,
  stage: 'warning',
  seconds_left: 90,
  look_again_seconds: 5
};

/**
 * A server whose answers the test sets; null: it is gone.
 */
class Server {
  answer: IIdle | null = WORK;
  asked = 0;
  kept = 0;

  readonly model = new IdleModel({
    read: async () => {
      this.asked++;
      return this._answer();
    },
    keep: async () => {
      this.kept++;
      return this._answer();
    }
  });

  private _answer(): IIdle {
    if (this.answer === null) {
      throw new Error('gone');
    }
    return this.answer;
  }
}

describe('the warning of an idle server', () => {
  let server: Server;

  beforeEach(() => {
    jest.useFakeTimers();
    server = new Server();
  });

  afterEach(() => {
    server.model.dispose();
    jest.useRealTimers();
  });

  const pass = (seconds: number): Promise<void> =>
    jest.advanceTimersByTimeAsync(seconds * 1000);

  it('is never asked for again where nothing stops the server', async () => {
    server.answer = { ...WORK, minutes: null };
    server.model.start();
    await pass(3600);
    expect(server.asked).toBe(1);
    expect(server.model.secondsLeft).toBeNull();
  });

  it('counts down between two looks', async () => {
    const seen: (number | null)[] = [];
    server.model.changed.connect(({ secondsLeft }) => seen.push(secondsLeft));
    server.model.start();
    await pass(29);
    expect(server.model.secondsLeft).toBeNull();
    server.answer = NEAR;
    await pass(1);
    expect(server.model.secondsLeft).toBe(90);
    await pass(4);
    expect(seen).toEqual([90, 89, 88, 87, 86]);
  });

  it('goes away when there is work again', async () => {
    server.answer = NEAR;
    server.model.start();
    await pass(1);
    expect(server.model.secondsLeft).toBe(89);
    server.answer = WORK;
    await pass(5);
    expect(server.model.secondsLeft).toBeNull();
  });

  it('goes away when the user keeps it running', async () => {
    server.answer = NEAR;
    server.model.start();
    await pass(1);
    server.answer = { ...WORK, stage: 'idle' };
    await server.model.keep();
    expect(server.kept).toBe(1);
    expect(server.model.secondsLeft).toBeNull();
  });

  it('says that the server was stopped when it is gone after its time', async () => {
    server.answer = { ...NEAR, seconds_left: 3 };
    server.model.start();
    await pass(1);
    server.answer = null;
    await pass(60);
    expect(server.model.wasStopped).toBe(true);
    const asked = server.asked;
    await pass(3600);
    expect(server.asked).toBe(asked);
  });

  it('takes a server that does not answer in between for nothing', async () => {
    server.model.start();
    await pass(1);
    server.answer = null;
    await pass(60);
    expect(server.model.wasStopped).toBe(false);
    server.answer = NEAR;
    await pass(30);
    expect(server.model.secondsLeft).not.toBeNull();
  });
});
