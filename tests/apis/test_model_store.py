"""Released models are found by name, and only bytes that their list speaks of are given out."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mmseg_picie.apis import downloads, model_store
from mmseg_picie.apis.model_index import ReleasedModel, add_to_index, parse_index, read_index
from mmseg_picie.apis.model_store import find_home, get_checkpoint, list_models
from mmseg_picie.cli import main

CONTENT = bytes(range(256)) * 5000  # more than a piece of a download
FILE = 'net/net-12ab.pth'


def entry(content: bytes = CONTENT, **changes: object) -> dict:
    """What a list says of a model."""
    return (
        dict(
            name='net',
            file=FILE,
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            data='scenes',
            scores={'mIoU': 12.5},
            licence='Apache-2.0',
            data_licence='CC0',
        )
        | changes
    )


def as_list(*entries: dict, **changes: object) -> bytes:
    return json.dumps(dict(layout=1, models=entries) | changes).encode()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    """No models but those of a test."""
    monkeypatch.setenv('MMSEG_PICIE_HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('MMSEG_PICIE_MODELS', raising=False)
    monkeypatch.setattr(model_store, 'find_carried', lambda name: tmp_path / 'package')
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'home' / 'models'


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of one released model."""
    path = tmp_path / 'zoo' / FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    (tmp_path / 'zoo' / 'models.json').write_bytes(as_list(entry()))
    return tmp_path / 'zoo'


class Server(ThreadingHTTPServer):
    """Serves what a test puts into `answers`, and notes what it was asked for."""

    def __init__(self) -> None:
        super().__init__(('127.0.0.1', 0), Handler)
        self.answers: dict[str, bytes] = {'/models.json': as_list(entry()), f'/{FILE}': CONTENT}
        self.lengths: dict[str, int] = {}
        self.raw: dict[str, bytes] = {}
        self.silence = 0.0
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f'http://127.0.0.1:{self.server_port}'


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path in self.server.raw:
            self.wfile.write(self.server.raw[self.path])
            time.sleep(self.server.silence)
            return
        body = self.server.answers.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header('Content-Length', str(self.server.lengths.get(self.path, len(body))))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_model_of_an_address_is_downloaded_once_and_needs_no_network_then(server, home):
    path = get_checkpoint('net', server.address)
    assert Path(path).read_bytes() == CONTENT
    assert Path(path) == home / FILE
    assert get_checkpoint('net', f'{server.address}/models.json') == path
    assert server.asked.count(f'/{FILE}') == 1
    assert get_checkpoint('net') == path  # of what is kept alone
    assert [one.place for one in list_models()[0]] == [str(home)]


def test_what_is_kept_is_taken_if_the_address_is_gone(server, capsys):
    path = get_checkpoint('net', server.address)
    server.answers.clear()
    capsys.readouterr()
    assert get_checkpoint('net', server.address) == path
    assert '404' in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match=r'file nett, and no .*did you mean net\?.*404'):
        get_checkpoint('nett', server.address)


PART = b'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"lay'
CHUNK = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{"lay'


@pytest.mark.parametrize(
    ('raw', 'silence', 'words'),
    [
        (PART, 0.0, 'the last 895 bytes of the answer are missing'),
        (CHUNK, 0.0, 'IncompleteRead'),
        (PART, 0.6, 'timed out'),
        (b'', 0.6, 'timed out'),
    ],
)
def test_a_list_that_breaks_off_is_told_and_what_is_kept_is_taken(
    server, capsys, monkeypatch, raw, silence, words
):
    path = get_checkpoint('net', server.address)
    server.raw['/models.json'], server.silence = raw, silence
    monkeypatch.setattr(downloads, '_PATIENCE', 0.2)
    capsys.readouterr()
    assert get_checkpoint('net', server.address) == path
    told = capsys.readouterr().err
    assert f'{server.address}/models.json cannot be reached' in told and words in told


@pytest.mark.parametrize('content', [b'<html>', b'{"lay', as_list(layout=2)])
def test_a_list_that_cannot_be_read_hides_no_other(server, home, folder, monkeypatch, content):
    folder.rename(folder.parent / 'package')
    home.mkdir(parents=True)
    (home / 'models.json').write_bytes(content)
    server.answers['/models.json'] = content
    monkeypatch.setenv('MMSEG_PICIE_MODELS', server.address)
    (found,), failures = list_models()
    assert found.place.endswith('package')
    for variable, failure in zip(('MODELS', 'HOME'), failures, strict=True):
        assert failure.startswith(f'MMSEG_PICIE_{variable}: ')
        assert 'models.json must be a list of models' in failure
    with pytest.raises(ValueError, match='^http'):  # as it was asked for by name
        list_models(server.address)
    monkeypatch.setenv('MMSEG_PICIE_MODELS', 'nowhere')
    assert list_models()[1][0].startswith('MMSEG_PICIE_MODELS: nowhere must be a folder')


def test_a_damaged_list_of_what_is_kept_stops_no_download(server, home, capsys):
    home.mkdir(parents=True)
    (home / 'models.json').write_bytes(b'{')
    assert Path(get_checkpoint('net', server.address)).read_bytes() == CONTENT
    assert 'cannot be put into the list there: MMSEG_PICIE_HOME: ' in capsys.readouterr().err
    assert (home / 'models.json').read_bytes() == b'{'  # it may be of a later version


def test_what_is_there_already_is_found_without_writing(server, home):
    """As the folder of what is kept may be one that others may only read."""
    path = get_checkpoint('net', server.address)
    for lock in home.rglob('.*lock'):
        lock.unlink()
    before = sorted(home.rglob('*'))
    assert get_checkpoint('net', server.address) == path
    assert sorted(home.rglob('*')) == before


def test_scores_that_are_no_numbers_do_not_get_into_the_list_of_what_is_kept(server, home):
    server.answers['/models.json'] = as_list(entry(scores={'mIoU': float('nan')}))
    with pytest.raises(ValueError, match='scores of net must be finite numbers'):
        get_checkpoint('net', server.address)
    assert not home.exists()


def test_a_kept_file_that_is_damaged_is_downloaded_again(server, home):
    path = Path(get_checkpoint('net', server.address))
    path.write_bytes(CONTENT[:-1] + b'x')
    with pytest.raises(ValueError, match='sha256'):
        get_checkpoint('net')  # without the address there is nothing to get it from
    assert Path(get_checkpoint('net', server.address)).read_bytes() == CONTENT
    assert server.asked.count(f'/{FILE}') == 2


@pytest.mark.parametrize(
    ('body', 'length', 'words'),
    [
        (CONTENT[:-5], len(CONTENT), 'ended after 1,279,995 bytes, but its list says 1,280,000'),
        (CONTENT[:-5], len(CONTENT) - 5, 'ended after 1,279,995 bytes'),
        (CONTENT + b'more', len(CONTENT) + 4, 'went on after 1,280,004 bytes'),
        (CONTENT[::-1], len(CONTENT), 'has the sha256 [0-9a-f]{64}, but its list says'),
        (b'', 0, 'ended after 0 bytes'),
        (None, 0, 'server says 404'),
    ],
)
def test_a_download_that_is_not_what_its_list_says_leaves_nothing(
    server, home, body, length, words
):
    server.lengths[f'/{FILE}'] = length
    if body is None:
        del server.answers[f'/{FILE}']
    else:
        server.answers[f'/{FILE}'] = body
    with pytest.raises((ConnectionError, ValueError), match=words):
        get_checkpoint('net', server.address)
    left = [path.name for path in home.rglob('*') if path.is_file()]
    assert left in ([], ['.download.lock'])
    assert not read_index(home)


def test_no_more_than_was_stated_is_taken(server, home, monkeypatch):
    """An endless answer ends after the stated size and a piece."""
    server.answers['/models.json'] = as_list(entry(size=1000))
    with pytest.raises(ConnectionError, match='went on after 1,048,576 bytes'):
        get_checkpoint('net', server.address)
    server.answers['/models.json'] = b' ' * (10**7 + 1)
    with pytest.raises(ValueError, match='larger than 10,000,000 bytes'):
        get_checkpoint('net', server.address)


def test_several_at_once_download_once(server):
    paths: list[str] = []
    threads = [
        threading.Thread(target=lambda: paths.append(get_checkpoint('net', server.address)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4 and len(set(paths)) == 1
    assert server.asked.count(f'/{FILE}') == 1


@pytest.mark.parametrize(
    'form',
    ['{}', 'file://{}', 'file://localhost{}', '{}/models.json', 'file://{}/models.json', '{}/'],
)
def test_a_model_of_a_folder_stays_there(folder, home, form, monkeypatch):
    assert get_checkpoint('net', form.format(folder)) == str(folder / FILE)
    monkeypatch.setenv('MMSEG_PICIE_MODELS', form.format(folder))
    assert get_checkpoint('net') == str(folder / FILE)
    assert not home.exists()


@pytest.mark.parametrize('content', [CONTENT[:-1], CONTENT[::-1], None])
def test_a_file_of_a_folder_that_is_not_what_its_list_says_is_refused(folder, content):
    path = folder / FILE
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r'so it is not the model net of .*models\.json'):
        get_checkpoint('net', folder)


def test_a_file_goes_before_a_name_and_a_path_is_no_name(folder, tmp_path, monkeypatch):
    monkeypatch.setenv('MMSEG_PICIE_MODELS', str(folder))
    (tmp_path / 'net').write_bytes(b'mine')
    assert get_checkpoint('net') == 'net'
    with pytest.raises(FileNotFoundError, match='there is no checkpoint file a/net; check the'):
        get_checkpoint('a/net')


def test_of_one_name_the_given_source_counts_before_what_is_kept(folder, home):
    add_to_index(home, ReleasedModel(**entry(b'older')))
    add_to_index(home, ReleasedModel(**entry(name='other')))
    found, failures = list_models(folder)
    assert [(one.model.name, one.place) for one in found] == [
        ('net', str(folder)),
        ('other', str(home)),
    ]
    assert not failures


@pytest.mark.parametrize(
    ('source', 'words'),
    [
        ('ftp://example.org/models', 'must begin with https://'),
        ('s3://models', 'must begin with https://'),
        ('https://', 'must begin with https://'),
        ('nowhere', 'must be a folder of released models, but there is no nowhere/models.json'),
        ('file:///nowhere', 'must be a folder of released models'),
        ('file://', 'must begin with https://'),
        ('file://localhost', 'must begin with https://'),
        ('file://example.org/models', 'must begin with https://'),
        ('http://[::1', 'must begin with https://'),
        ('http://example.org:port', 'must begin with https://'),
        ('http://example.org/söil', 'be in ASCII'),
        ('http://例え.jp', 'be in ASCII'),
        ('http://me:secret@example.org', 'without user and password, but is http://...@example'),
        ('http://me:sec/ret@example.org', 'without user and password, but is http://...@example'),
        ('~nosuch-user/models', 'nobody knows the home folder'),
    ],
)
def test_a_source_of_another_kind_is_refused(source, words, monkeypatch):
    with pytest.raises((FileNotFoundError, ValueError), match=words) as refused:
        list_models(source)
    assert 'sec' not in str(refused.value)
    monkeypatch.setenv('MMSEG_PICIE_MODELS', source)
    (failure,) = list_models()[1]
    assert failure == f'MMSEG_PICIE_MODELS: {refused.value}'


@pytest.mark.parametrize('host', ['a..b', 'a' * 70])
def test_a_host_that_cannot_be_one_is_one_sentence(host):
    found, (failure,) = list_models(f'http://{host}')
    assert found == [] and f'http://{host}/models.json cannot be reached' in failure


def test_a_folder_may_be_called_like_an_address(folder):
    folder.rename('https:zoo')
    assert get_checkpoint('net', 'https:zoo') == f'https:zoo/{FILE}'


def test_no_network_is_one_sentence(server):
    server.shutdown()
    server.server_close()
    found, (failure,) = list_models(server.address)
    assert found == [] and 'cannot be reached' in failure and 'MMSEG_PICIE_MODELS' in failure


@pytest.mark.parametrize(
    ('content', 'words'),
    [
        (b'<html>', 'must be a list of models'),
        (b'[]', 'must be a list of models'),
        (b'\xff\xfe', 'must be a list of models'),
        (b'{}', "it has no 'layout'"),
        (as_list(layout=2), 'its layout is 2'),
        (as_list(models=3), 'must be a list of models'),
        (as_list({'name': 'net'}), "it has no 'file'"),
        *(
            (as_list(entry(file=file)), 'file of net must be a path below the list')
            for file in ('../net.pth', '/etc/net', 'a/../../b', 'a\\b', '.net', 'a//b', 'c:/b', '')
        ),
        (as_list(entry(file=None)), 'file of net'),
        (as_list(entry(name='../net')), 'the name of a model must begin'),
        (as_list(entry(name='a\nb')), 'the name of a model must begin'),
        (as_list(entry(size=-1)), 'size of net must be'),
        (as_list(entry(size=10**13)), 'size of net must be'),
        (as_list(entry(size=True)), 'size of net must be'),
        (as_list(entry(sha256='ab')), 'sha256 of net must be'),
        (as_list(entry(scores={'mIoU': 'high'})), 'scores of net must be'),
        (as_list(entry(scores={'mIoU': float('nan')})), 'scores of net must be'),
        (as_list(entry(scores={'mIoU': -float('inf')})), 'scores of net must be'),
        (as_list(entry(scores={'mIoU': 10**400})), 'too large'),
        (as_list(entry(name='models.json')), 'must not be models.json'),
        (as_list(entry(name='Models.JSON')), 'must not be models.json'),
        (as_list(entry(licence=None)), 'licence of net must be text'),
    ],
)
def test_a_list_that_cannot_be_is_refused(content, words):
    with pytest.raises(ValueError, match='^here must be a list of models') as refused:
        parse_index(content, 'here')
    assert words in str(refused.value)


def test_fields_of_later_versions_are_passed_over():
    assert parse_index(as_list(entry(colour='red')), '') == {'net': ReleasedModel(**entry())}


def test_the_cache_is_where_the_platform_has_caches(monkeypatch, tmp_path):
    monkeypatch.delenv('MMSEG_PICIE_HOME')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert find_home() == tmp_path / 'mmseg_picie'
    monkeypatch.delenv('XDG_CACHE_HOME')
    assert find_home() == Path.home() / '.cache' / 'mmseg_picie'


@pytest.mark.parametrize(
    ('place', 'words'),
    [
        ('~nosuch-user/x', 'but is ~nosuch-user/x, and nobody knows the home folder'),
        ('https://me:secret@example.org', r'but is https://\.\.\.@example.org; name the address'),
    ],
)
def test_a_home_that_cannot_be_is_one_sentence(monkeypatch, folder, capsys, place, words):
    monkeypatch.setenv('MMSEG_PICIE_HOME', place)
    with pytest.raises(ValueError, match=f'^MMSEG_PICIE_HOME must be a folder.*{words}'):
        find_home()
    assert get_checkpoint('net', folder) == str(folder / FILE)
    assert capsys.readouterr().err.startswith('MMSEG_PICIE_HOME must be a folder')


@pytest.fixture
def listed(capsys) -> Callable[..., list[str]]:
    def run(*words: object) -> list[str]:
        main(['models', *map(str, words)])
        return capsys.readouterr().out.splitlines()

    return run


def test_models_are_listed_with_all_that_is_asked_of_them(listed, folder):
    lines = listed(folder)
    told = ' '.join(lines)
    for word in ('net', '12.50 %', '1.3 MB', entry()['sha256'], 'Apache-2.0', 'CC0', str(folder)):
        assert word in told
    assert 'There are no released models' in listed()[0]


def test_a_list_that_cannot_be_reached_ends_in_its_sentence(server, capsys):
    server.answers.clear()
    with pytest.raises(SystemExit) as end:
        main(['models', server.address])
    assert end.value.code == 1
    assert capsys.readouterr().err.count('\n') == 1
